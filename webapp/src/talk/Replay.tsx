/** A spoken answer while it is played again: what was heard stands out from what is to come. */

import { useEffect, useState } from "react";
import { heardUntil, wordTimes, type Word } from "../sound/words";
import { player } from "../thread/store";
import { textOf, type Turn } from "../thread/tree";

export function Replay({ turn, onEnd }: { turn: Turn; onEnd: () => void }) {
  const text = textOf(turn);
  const [words, setWords] = useState<Word[]>([]);
  const [until, setUntil] = useState(0);

  useEffect(() => {
    let next = 0;
    let isShown = true;
    const follow = () => {
      if (!player.isPlaying) return onEnd();
      next = requestAnimationFrame(follow);
    };
    const start = (found: Word[]) => {
      if (!isShown) return;
      setWords(found);
      player.stop();
      for (const pcm of turn.sound) player.play(pcm);
      player.end();
      follow();
    };
    // Without times the answer is heard all the same.
    void wordTimes(text, turn.sound).then(start, () => start([]));
    return () => {
      isShown = false;
      cancelAnimationFrame(next);
      player.stop();
    };
    // A replay is of one turn, from its beginning to its end.
  }, [turn.id]);

  useEffect(() => {
    const timer = setInterval(() => setUntil(heardUntil(words, player.heardMs / 1000)), 40);
    return () => clearInterval(timer);
  }, [words]);

  return (
    <p className="whitespace-pre-wrap">
      <mark className="bg-transparent text-ink underline decoration-accent decoration-2">
        {text.slice(0, until)}
      </mark>
      <span className="text-muted">{text.slice(until)}</span>
    </p>
  );
}
