import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Player, RATE_HZ } from "./player";

/** As much of Web Audio as the player needs, with a clock that tests set. */
const clock = { nowS: 0 };
const started: { at: number; stopped: boolean }[] = [];

class FakeContext {
  destination = {};
  get currentTime() {
    return clock.nowS;
  }
  createBuffer(_channels: number, length: number, rateHz: number) {
    return { duration: length / rateHz, copyToChannel: () => undefined };
  }
  createAnalyser() {
    return { connect: () => undefined };
  }
}

class FakeNode {
  private entry = { at: 0, stopped: false };
  connect() {}
  start(at: number) {
    this.entry.at = at;
    started.push(this.entry);
  }
  stop() {
    this.entry.stopped = true;
  }
}

const piece = new Int16Array(RATE_HZ / 2); // half a second

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date", "performance"] });
  vi.stubGlobal("AudioContext", FakeContext);
  vi.stubGlobal("AudioBufferSourceNode", FakeNode);
  started.length = 0;
  clock.nowS = 0;
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

function wait(seconds: number) {
  vi.advanceTimersByTime(seconds * 1000);
  clock.nowS += seconds;
}

test("quick speech begins with its second piece and has no gap", () => {
  const player = new Player();
  player.play(piece);
  expect(started).toHaveLength(0);
  wait(0.1);
  player.play(piece);
  wait(0.1);
  player.play(piece);
  expect(started.map(({ at }) => at)).toEqual([0.12, 0.62, 1.12].map((s) => expect.closeTo(s)));
  expect(player.isBehind).toBe(false);
});

test("slow speech waits, says so, and begins once enough is there", () => {
  const player = new Player();
  const told: boolean[] = [];
  const unsubscribe = player.subscribe(() => told.push(player.isBehind));
  for (let i = 0; i < 20 && started.length === 0; i++) {
    player.play(piece);
    wait(1);
  }
  expect(started).toHaveLength(10); // 5 of 10 s, at half of real time
  expect(told).toEqual([true, false]);
  expect(player.isPlaying).toBe(true);
  unsubscribe();
});

test("a whole answer is heard at once, however slowly it came", () => {
  const player = new Player();
  player.play(piece);
  wait(3);
  player.play(piece);
  expect(player.isBehind).toBe(true);
  player.end();
  expect(started).toHaveLength(2);
  expect(player.isBehind).toBe(false);
});

test("all pieces at once, as in a replay, are heard at once", () => {
  const player = new Player();
  for (let i = 0; i < 5; i++) player.play(piece);
  player.end();
  expect(started).toHaveLength(5);
});

test("silence drops what is held and what sounds, and tells what was heard", () => {
  const player = new Player();
  player.play(piece);
  player.play(piece);
  wait(0.32);
  expect(player.heardMs).toBe(300);
  expect(player.stop()).toBe(300);
  expect(started.every(({ stopped }) => stopped)).toBe(true);
  expect(player.isPlaying).toBe(false);
  expect(player.stop()).toBe(0);
});

test("an answer that ends without sound opens nothing", () => {
  vi.stubGlobal("AudioContext", undefined);
  const player = new Player();
  player.end();
  expect(player.isPlaying).toBe(false);
});
