/** A picture, sound or clip of a turn; kept ones are fetched first. */

import { useEffect, useState } from "react";
import { urlOf } from "../history/open";
import type { Part } from "../wire/api";

export function Media({ part }: { part: Exclude<Part, { type: "text" }> }) {
  const address = addressOf(part);
  const [url, setUrl] = useState(address.startsWith("kept:") ? null : address);
  useEffect(() => {
    let isShown = true;
    void urlOf(address).then((found) => isShown && setUrl(found));
    return () => {
      isShown = false;
    };
  }, [address]);
  if (url === null) return <span className="block h-24 w-32 rounded-lg bg-line/50" />;
  switch (part.type) {
    case "image_url":
      return <img src={url} alt="" className="max-h-72 rounded-lg" />;
    case "video_url":
      return <video src={url} controls className="max-h-72 rounded-lg" />;
    case "input_audio":
      return <audio src={url} controls className="max-w-full" />;
  }
}

function addressOf(part: Exclude<Part, { type: "text" }>): string {
  switch (part.type) {
    case "image_url":
      return part.image_url.url;
    case "video_url":
      return part.video_url.url;
    case "input_audio": {
      const { data, format } = part.input_audio;
      return data.startsWith("kept:") ? data : `data:audio/${format};base64,${data}`;
    }
  }
}
