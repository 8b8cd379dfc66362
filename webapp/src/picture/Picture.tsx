/** The picture screen: change one to three pictures by words, as often as it takes. */

import { useEffect, useRef, type DragEvent } from "react";
import { IconButton } from "../parts/Button";
import { CloseIcon, InputIcon, PictureIcon, SaveIcon } from "../parts/icons";
import { go } from "../shell/screens";
import { useWords } from "../words";
import { Chooser } from "./Chooser";
import { Compare } from "./Compare";
import { EditTree } from "./EditTree";
import { Frame } from "./Frame";
import { Painter } from "./Painter";
import { Progress } from "./Progress";
import { Prompt } from "./Prompt";
import type { Picture } from "./edits";
import { MAX_INPUTS, useEditor, useStudio } from "./studio";

export function PictureScreen() {
  const words = useWords();
  const editor = useEditor();
  const { pictures, shown, take, restore } = useStudio();
  const stage = useRef<HTMLElement>(null);
  useEffect(() => void restore(), [restore]);
  useEffect(() => {
    void stage.current?.scrollIntoView({ block: "nearest" }); // on a phone it may be off the screen
  }, [shown]);
  useEffect(() => {
    const onPaste = (event: ClipboardEvent) => {
      const files = [...(event.clipboardData?.files ?? [])];
      if (files.length > 0) void take(files);
    };
    addEventListener("paste", onPaste);
    return () => removeEventListener("paste", onPaste);
  }, [take]);
  const onDrop = (event: DragEvent) => {
    event.preventDefault();
    void take([...event.dataTransfer.files]);
  };
  if (!editor && pictures.length === 0) return <NoEditor />;
  return (
    <main
      className="flex min-w-0 grow flex-col overflow-y-auto lg:flex-row lg:overflow-hidden"
      onDragOver={(event) => event.preventDefault()}
      onDrop={onDrop}
    >
      <h1 className="sr-only">{words("picture")}</h1>
      <section
        ref={stage}
        aria-label={words("canvas")}
        className="flex h-[56dvh] shrink-0 flex-col lg:h-auto lg:min-w-0 lg:shrink lg:grow"
      >
        <Stage />
      </section>
      <Prompt editor={editor} />
      {pictures.length > 0 && <EditTree />}
    </main>
  );
}

function Stage() {
  const words = useWords();
  const { pictures, base, shown, job } = useStudio();
  const find = (id: string | null) => pictures.find((picture) => picture.id === id);
  const [input, picture] = [find(base), find(shown)];
  if (!input || !picture) return <Empty />;
  const before = find(picture.parent);
  if (picture !== input || !job) {
    return picture === input ? (
      <Painter picture={input} actions={<Actions picture={input} />} />
    ) : (
      <>
        <div className="flex min-h-13 items-center gap-1 px-3 py-2">
          <p className="min-w-0 grow truncate text-muted" title={picture.title}>
            {picture.title}
            {picture.reuse && ` · ${words("reused", { number: picture.reuse.reused, count: picture.reuse.steps })}`}
          </p>
          <Actions picture={picture} />
        </div>
        {before ? <Compare before={before} after={picture} /> : <Still picture={picture} />}
      </>
    );
  }
  return (
    <>
      <Progress job={job} />
      <Still picture={input} preview={job.preview} />
    </>
  );
}

function Still({ picture, preview = null }: { picture: Picture; preview?: string | null }) {
  const { url, title, width, height } = picture;
  return (
    <Frame width={width} height={height}>
      <img src={preview ?? url} alt={title} className="size-full rounded-lg" />
    </Frame>
  );
}

function Actions({ picture }: { picture: Picture }) {
  const words = useWords();
  const { base, job, useAsInput, forget } = useStudio();
  const name = picture.seed === null ? picture.title : `myna-${picture.seed}.png`;
  return (
    <>
      {picture.id !== base && (
        <button
          type="button"
          className="flex shrink-0 items-center gap-2 rounded-full px-3 py-1.5 whitespace-nowrap ring-1 ring-line hover:bg-line/60 disabled:opacity-50"
          disabled={job !== null}
          onClick={() => useAsInput(picture.id)}
        >
          <InputIcon />
          {words("useAsInput")}
        </button>
      )}
      <a
        href={picture.url}
        download={name}
        aria-label={words("savePicture")}
        title={words("savePicture")}
        className="grid size-9 shrink-0 place-items-center rounded-full text-muted hover:bg-line/60 hover:text-ink"
      >
        <SaveIcon />
      </a>
      <IconButton name={words("forget")} disabled={job !== null} onClick={() => forget(picture.id)}>
        <CloseIcon />
      </IconButton>
    </>
  );
}

function Empty() {
  const words = useWords();
  const take = useStudio((studio) => studio.take);
  return (
    <div className="grid grow place-items-center p-4">
      <div className="grid w-full max-w-md justify-items-center gap-4 rounded-3xl border-2 border-dashed border-line px-6 py-14 text-center">
        <span className="text-muted [&_svg]:size-12">
          <PictureIcon />
        </span>
        <p className="text-muted">{words("dropHere", { count: MAX_INPUTS })}</p>
        <Chooser
          isMany
          onFiles={(files) => void take(files)}
          className="rounded-full bg-accent px-4 py-2 font-medium text-[#14161a]"
        >
          {words("choosePicture")}
        </Chooser>
      </div>
    </div>
  );
}

function NoEditor() {
  const words = useWords();
  return (
    <main className="grid grow place-items-center p-6">
      <div className="grid max-w-md justify-items-center gap-4 text-center">
        <span className="text-muted [&_svg]:size-12">
          <PictureIcon />
        </span>
        <h1 className="text-2xl font-semibold">{words("picture")}</h1>
        <p className="text-muted">{words("noEditor")}</p>
        <button
          type="button"
          className="rounded-full bg-accent px-4 py-2 font-medium text-[#14161a]"
          onClick={() => go("models")}
        >
          {words("toModels")}
        </button>
      </div>
    </main>
  );
}
