/** Where a question is put together: words, files, and whether the answer is spoken. */

import { useEffect, useRef, useState, type ClipboardEvent, type KeyboardEvent } from "react";
import { IconButton } from "../parts/Button";
import { AttachIcon, CloseIcon, QuietIcon, SendIcon, SpeakerIcon, StopIcon } from "../parts/icons";
import { MAX_BYTES, partOf, read, type Attachment } from "../thread/attachments";
import { useThread } from "../thread/store";
import { shown } from "../thread/tree";
import type { Part } from "../wire/api";
import { useWords } from "../words";
import { Recorder } from "./Recorder";
import { Snapshot } from "./Snapshot";

const MB = 1024 * 1024;
const HAS_POINTER = matchMedia("(pointer: fine)").matches; // a finger would get a keyboard unasked

export function Composer() {
  const words = useWords();
  const { tree, model, voice, isBusy, send, stop, speakWith } = useThread();
  const [text, setText] = useState("");
  const [files, setFiles] = useState<Attachment[]>([]);
  const [complaint, setComplaint] = useState("");
  const field = useRef<HTMLTextAreaElement>(null);
  const chooser = useRef<HTMLInputElement>(null);
  const voices = model?.voices ?? [];
  const isNew = shown(tree).length === 0;
  const isEmpty = text.trim() === "" && files.length === 0;

  /** Take files along; the browser empties its lists as soon as an event is over. */
  const take = async (list: FileList | File[] | null) => {
    setComplaint("");
    for (const file of [...(list ?? [])]) {
      const found = await read(file);
      if ("reason" in found) {
        const size = (found.bytes / MB).toFixed(0);
        setComplaint(words(found.reason, { name: found.name, size, limit: MAX_BYTES / MB }));
      } else setFiles((before) => [...before, found]);
    }
  };
  const submit = () => {
    if (isEmpty || isBusy) return;
    const parts: Part[] = files.map(partOf);
    if (text.trim()) parts.push({ type: "text", text: text.trim() });
    send(parts);
    setText("");
    setFiles([]);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === "Enter" && !event.shiftKey && !event.nativeEvent.isComposing) {
      event.preventDefault();
      submit();
    }
  };
  const onPaste = (event: ClipboardEvent) => void take(event.clipboardData.files);
  useEffect(() => {
    if (isNew && HAS_POINTER) field.current?.focus();
  }, [isNew]);
  useEffect(() => {
    // Anywhere on the page: elsewhere the browser would leave it for the file.
    const onDrag = (event: DragEvent) => {
      event.preventDefault();
      if (event.type === "drop") void take(event.dataTransfer?.files ?? null);
    };
    addEventListener("dragover", onDrag);
    addEventListener("drop", onDrag);
    return () => {
      removeEventListener("dragover", onDrag);
      removeEventListener("drop", onDrag);
    };
  });

  return (
    <form
      className="mx-auto w-full max-w-[44rem] px-3 pb-3"
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      {complaint && (
        <p role="alert" className="px-3 pb-1 text-sm text-error">
          {complaint}
        </p>
      )}
      <div className="rounded-3xl border border-line bg-raised p-2 shadow-sm focus-within:border-accent">
        {files.length > 0 && (
          <ul className="flex flex-wrap gap-2 p-2">
            {files.map((file) => (
              <li key={file.id} className="relative">
                <Preview file={file} />
                <IconButton
                  name={words("remove", { name: file.name })}
                  className="absolute -end-2 -top-2 size-6 bg-raised ring-1 ring-line"
                  onClick={() => setFiles((all) => all.filter((other) => other.id !== file.id))}
                >
                  <CloseIcon />
                </IconButton>
              </li>
            ))}
          </ul>
        )}
        <textarea
          ref={field}
          aria-label={words("composer")}
          placeholder={words("placeholder")}
          rows={1}
          className="field-sizing-content max-h-60 w-full resize-none bg-transparent px-3 py-1.5 outline-hidden focus-visible:outline-hidden placeholder:text-muted"
          value={text}
          onChange={(event) => setText(event.target.value)}
          onKeyDown={onKeyDown}
          onPaste={onPaste}
        />
        <div className="flex items-center gap-1">
          <input
            ref={chooser}
            type="file"
            multiple
            hidden
            accept="image/*,audio/*,video/*"
            onChange={(event) => {
              void take(event.target.files);
              event.target.value = "";
            }}
          />
          <IconButton name={words("attach")} onClick={() => chooser.current?.click()}>
            <AttachIcon />
          </IconButton>
          <Snapshot onPicture={(file) => void take([file])} onProblem={setComplaint} />
          <Recorder onSound={(file) => void take([file])} onProblem={setComplaint} />
          <span className="grow" />
          {voices.length > 0 && (
            <IconButton
              name={words(voice === null ? "speakAnswers" : "quiet")}
              aria-pressed={voice !== null}
              onClick={() => speakWith(voice === null ? (voices[0] ?? null) : null)}
            >
              {voice === null ? <QuietIcon /> : <SpeakerIcon />}
            </IconButton>
          )}
          {isBusy ? (
            <IconButton isMain name={words("stop")} onClick={stop}>
              <StopIcon />
            </IconButton>
          ) : (
            <IconButton isMain name={words("send")} type="submit" disabled={isEmpty}>
              <SendIcon />
            </IconButton>
          )}
        </div>
      </div>
    </form>
  );
}

function Preview({ file }: { file: Attachment }) {
  if (file.kind === "image") return <img src={file.url} alt={file.name} className="h-16 rounded-lg" />;
  if (file.kind === "video") return <video src={file.url} className="h-16 rounded-lg" />;
  return <span className="block max-w-40 truncate rounded-lg bg-line/50 px-3 py-2">{file.name}</span>;
}
