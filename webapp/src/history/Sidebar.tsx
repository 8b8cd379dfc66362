/** The conversations: found, opened, pinned, renamed, taken away and brought back. */

import { DropdownMenu } from "radix-ui";
import { useEffect, useRef, useState } from "react";
import { IconButton } from "../parts/Button";
import { MoreIcon } from "../parts/icons";
import { useThread } from "../thread/store";
import { go } from "../shell/screens";
import { useWords } from "../words";
import * as api from "./api";

const PAUSE_MS = 200; // between the last key and the search

export function Sidebar() {
  const words = useWords();
  const { numKept, openKept, reset } = useThread();
  const [found, setFound] = useState<api.Hit[]>([]);
  const [query, setQuery] = useState("");
  const [problem, setProblem] = useState<string | null>(null);
  const [version, setVersion] = useState(0);
  const chooser = useRef<HTMLInputElement>(null);
  const refresh = () => setVersion((number) => number + 1);

  useEffect(() => {
    let isAsked = true; // what comes after another question is an answer to none
    const timer = setTimeout(async () => {
      try {
        const plain = async () =>
          (await api.list()).map((conversation) => ({ conversation, excerpt: "" }));
        const hits = query.trim() ? await api.search(query) : await plain();
        if (!isAsked) return;
        setFound(hits);
        setProblem(null);
      } catch (error) {
        if (isAsked) setProblem((error as Error).message);
      }
    }, query ? PAUSE_MS : 0);
    return () => {
      isAsked = false;
      clearTimeout(timer);
    };
  }, [query, numKept, version]);

  const act = async (action: () => Promise<unknown>) => {
    try {
      await action();
    } catch (error) {
      setProblem((error as Error).message);
    }
    refresh();
  };
  const show = async (conversation: api.Conversation) => {
    await act(() => openKept(conversation));
    go("talk");
  };

  return (
    <aside
      aria-label={words("history")}
      className="flex w-72 shrink-0 flex-col gap-2 border-e border-line bg-paper px-3 pb-3 max-md:absolute max-md:inset-y-14 max-md:z-10 max-md:shadow-xl"
    >
      <input
        type="search"
        aria-label={words("search")}
        placeholder={words("search")}
        className="rounded-full border border-line bg-raised px-4 py-1.5"
        value={query}
        onChange={(event) => setQuery(event.target.value)}
      />
      {problem && (
        <p role="alert" className="text-sm text-error">
          {problem}
        </p>
      )}
      <ul className="min-h-0 grow space-y-0.5 overflow-y-auto">
        {found.map(({ conversation, excerpt }, index) => (
          <li key={`${conversation.id} ${index}`} className="flex items-center rounded-lg hover:bg-line/50">
            <button
              type="button"
              className="min-w-0 grow truncate px-3 py-2 text-start"
              onClick={() => void show(conversation)}
            >
              {conversation.is_pinned && "• "}
              {conversation.title}
              {excerpt && <span className="block truncate text-sm text-muted">{excerpt}</span>}
            </button>
            <Menu conversation={conversation} act={act} />
          </li>
        ))}
        {found.length === 0 && query && <li className="px-3 text-muted">{words("nothing")}</li>}
      </ul>
      <input
        ref={chooser}
        type="file"
        accept="application/json"
        hidden
        onChange={(event) => {
          const [file] = [...(event.target.files ?? [])];
          event.target.value = "";
          if (file) void act(async () => show(await api.bringBack(file)));
        }}
      />
      <button type="button" className="rounded-full px-3 py-1 text-start text-muted hover:bg-line/50" onClick={() => chooser.current?.click()}>
        {words("import")}
      </button>
      <button type="button" className="rounded-full px-3 py-1 text-start text-muted hover:bg-line/50" onClick={() => reset(true)}>
        {words("temporary")}
      </button>
    </aside>
  );
}

interface MenuProps {
  conversation: api.Conversation;
  act: (action: () => Promise<unknown>) => Promise<void>;
}

function Menu({ conversation: { id, title, is_pinned }, act }: MenuProps) {
  const words = useWords();
  const isOpen = useThread((thread) => thread.conversation)() === id;
  const reset = useThread((thread) => thread.reset);
  const rename = () => {
    const wished = prompt(words("newTitle"), title)?.trim();
    if (wished) void act(() => api.change(id, { title: wished }));
  };
  const remove = () => {
    if (!confirm(words("really", { title }))) return;
    if (isOpen) reset();
    void act(() => api.remove(id));
  };
  const save = (format: "json" | "markdown", ending: string) =>
    act(async () => saveAs(await api.exported(id, format), `${title}.${ending}`));
  const item = "cursor-pointer rounded-md px-3 py-1.5 outline-hidden data-[highlighted]:bg-line/60";
  return (
    <DropdownMenu.Root modal={false}>
      <DropdownMenu.Trigger asChild>
        <IconButton name={words("more", { title })}>
          <MoreIcon />
        </IconButton>
      </DropdownMenu.Trigger>
      <DropdownMenu.Portal>
        <DropdownMenu.Content className="z-10 rounded-xl bg-raised p-1 shadow-lg ring-1 ring-line">
          <DropdownMenu.Item className={item} onSelect={rename}>
            {words("rename", { title })}
          </DropdownMenu.Item>
          <DropdownMenu.Item
            className={item}
            onSelect={() => void act(() => api.change(id, { is_pinned: !is_pinned }))}
          >
            {words(is_pinned ? "unpin" : "pin", { title })}
          </DropdownMenu.Item>
          <DropdownMenu.Item className={item} onSelect={() => void save("json", "json")}>
            {words("exportJson", { title })}
          </DropdownMenu.Item>
          <DropdownMenu.Item className={item} onSelect={() => void save("markdown", "md")}>
            {words("exportMarkdown", { title })}
          </DropdownMenu.Item>
          <DropdownMenu.Item className={`${item} text-error`} onSelect={remove}>
            {words("delete", { title })}
          </DropdownMenu.Item>
        </DropdownMenu.Content>
      </DropdownMenu.Portal>
    </DropdownMenu.Root>
  );
}

function saveAs(file: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}
