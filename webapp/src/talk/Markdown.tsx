/** An answer's text: GitHub's Markdown and TeX, loaded when the first answer needs it. */

import "katex/dist/katex.min.css";
import { useState, type ReactNode } from "react";
import Markdown from "react-markdown";
import rehypeKatex from "rehype-katex";
import remarkGfm from "remark-gfm";
import remarkMath from "remark-math";
import { CopyIcon } from "../parts/icons";
import { IconButton } from "../parts/Button";
import { useWords } from "../words";

/** Links open elsewhere, and pictures of other hosts are never fetched: no byte leaves unasked. */
export default function Rendered({ text }: { text: string }) {
  return (
    <div className="prose-myna">
      <Markdown
        remarkPlugins={[remarkGfm, remarkMath]}
        rehypePlugins={[rehypeKatex]}
        components={{
          pre: ({ children }) => <Code>{children}</Code>,
          img: ({ src, alt }) => <code>{alt || String(src)}</code>,
          a: ({ href, children }) => (
            <a href={href} target="_blank" rel="noreferrer noopener" className="underline">
              {children}
            </a>
          ),
        }}
      >
        {text}
      </Markdown>
    </div>
  );
}

function Code({ children }: { children?: ReactNode }) {
  const words = useWords();
  const [isCopied, setCopied] = useState(false);
  const [block, setBlock] = useState<HTMLPreElement | null>(null);
  const copy = async () => {
    await navigator.clipboard.writeText(block?.textContent ?? "");
    setCopied(true);
    setTimeout(() => setCopied(false), 1500);
  };
  return (
    <div className="relative">
      <pre ref={setBlock} tabIndex={0} className="overflow-x-auto rounded-lg bg-line/40 p-3 font-mono text-sm">
        {children}
      </pre>
      <IconButton name={words(isCopied ? "copied" : "copy")} className="absolute end-1 top-1" onClick={() => void copy()}>
        <CopyIcon />
      </IconButton>
    </div>
  );
}
