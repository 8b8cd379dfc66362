/** A button that shows an icon and says its name. */

import type { ButtonHTMLAttributes, ReactNode } from "react";

interface Props extends ButtonHTMLAttributes<HTMLButtonElement> {
  /** What it does, for those who do not see the icon. */
  name: string;
  children: ReactNode;
  isMain?: boolean;
}

export function IconButton({ name, children, isMain = false, className = "", ...rest }: Props) {
  const colours = isMain
    ? "bg-accent text-[#14161a] disabled:opacity-40"
    : "text-muted hover:bg-line/60 hover:text-ink disabled:opacity-40";
  return (
    <button
      type="button"
      aria-label={name}
      title={name}
      className={`grid size-9 shrink-0 place-items-center rounded-full transition-colors duration-150 ${colours} ${className}`}
      {...rest}
    >
      {children}
    </button>
  );
}
