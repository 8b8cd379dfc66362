import { expect, test } from "vitest";
import { Pace } from "./pace";

/** Let pieces of 0.5 s come in so many seconds each. */
function paced(everyS: number, count = 4, pace = new Pace()): Pace {
  for (let i = 0; i < count; i++) pace.arrive(0.5, 100 + i * everyS);
  return pace;
}

test("nothing is known before the second piece of the first answer", () => {
  expect(paced(1, 1).rate).toBeNull();
  expect(paced(1, 1).heldS).toBe(Infinity);
  expect(paced(1, 1).isSlow).toBe(false);
});

test("a clump of small pieces tells nothing", () => {
  const pace = new Pace();
  for (let i = 0; i < 2; i++) pace.arrive(0.08, 100);
  expect(pace.heldS).toBe(Infinity);
});

test("quick speech is not held back", () => {
  expect(paced(0.1).rate).toBeCloseTo(5);
  expect(paced(0.1).heldS).toBe(0);
  expect(paced(0).heldS).toBe(0); // all at once
});

test("slow speech is held back by what it lacks in ten seconds", () => {
  const pace = paced(2);
  expect(pace.rate).toBeCloseTo(0.25);
  expect(pace.heldS).toBeCloseTo(7.5);
  expect(pace.isSlow).toBe(true);
});

test("the next answer begins with what is known of the one before", () => {
  const pace = paced(1);
  pace.end();
  pace.arrive(0.5, 200);
  expect(pace.heldS).toBeCloseTo(5);
  pace.arrive(0.1, 200.01); // too little to tell
  expect(pace.heldS).toBeCloseTo(5);
  pace.arrive(0.5, 200.1);
  expect(pace.heldS).toBe(0);
});

test("what the server tells counts until enough has come", () => {
  const pace = new Pace();
  pace.arrive(0.5, 100, 2);
  expect(pace.heldS).toBeCloseTo(5);
  pace.arrive(0.5, 100.1);
  expect(pace.heldS).toBe(0);
});

test("an answer of one piece teaches nothing", () => {
  const pace = paced(2);
  pace.end();
  pace.arrive(0.5, 300);
  pace.end();
  expect(pace.rate).toBeCloseTo(0.25);
});

test("what is held back lasts until the end of ten seconds", () => {
  for (const everyS of [0.6, 0.8, 1, 2, 5]) {
    const pace = new Pace();
    let inHandS = 0;
    let atS = 0;
    let madeS = 0;
    for (; inHandS < pace.heldS; atS += everyS, inHandS += 0.5) pace.arrive(0.5, atS);
    madeS = inHandS;
    const startedAt = atS - everyS;
    for (; madeS < 10; atS += everyS, madeS += 0.5) expect(atS - startedAt).toBeLessThanOrEqual(madeS + 0.5);
  }
});
