/**
 * What all threads know of a collection beside its shards, in one small memory: the sequence that
 * readers see, how much is under way, whether linkers are held, and how the disk stands.
 *
 *   offset | size | name
 *   0      | 8    | sequence of the last write that readers see
 *   8      | 4    | rows whose frames are admitted but not applied
 *   12     | 4    | 1 while linkers are held
 *   16     | 8    | who calibrates, and the version of the curves (calibration.ts)
 *   24     | 8    | float64: bytes of the log; 0 where there is none
 *   32     | 8    | float64: its oldest sequence
 *   40     | 8    | float64: sequence of the newest image
 *   48     | 8    | float64: when that was taken, in ms since 1970; 0 where there is none
 *   56     | 4    | linkers at work
 *   64     |      | curves of recall (calibration.ts)
 */
import { CURVES_BASE, CURVES_BYTES } from "./calibration.ts";

const STATE_BYTES = CURVES_BASE + CURVES_BYTES;
const SEQUENCE = 0;
const ADMITTED = 2;
const HELD = 3;
const LINKERS = 14;
const WAL_BYTES = 3;
const WAL_OLDEST = 4;
const IMAGE_SEQUENCE = 5;
const IMAGE_TIME = 6;

export type StateMemory = SharedArrayBuffer | ArrayBuffer;

/** Where memory is not shared, as in many a web page, nothing needs to be. */
export function newState(isShared = true): StateMemory {
  return isShared ? new SharedArrayBuffer(STATE_BYTES) : new ArrayBuffer(STATE_BYTES);
}

export interface DiskState {
  readonly walBytes: number;
  readonly walOldest: number;
  readonly imageSequence: number;
  readonly imageTimeMs: number;
}

export class State {
  readonly memory: StateMemory;
  readonly #words: Int32Array;
  readonly #sequences: BigInt64Array;
  readonly #numbers: Float64Array;

  constructor(memory: StateMemory) {
    this.memory = memory;
    this.#words = new Int32Array(memory, 0, CURVES_BASE / 4);
    this.#sequences = new BigInt64Array(memory, 0, 1);
    this.#numbers = new Float64Array(memory, 0, CURVES_BASE / 8);
  }

  get sequence(): number {
    return Number(Atomics.load(this.#sequences, SEQUENCE));
  }

  set sequence(sequence: number) {
    Atomics.store(this.#sequences, SEQUENCE, BigInt(sequence));
  }

  get admitted(): number {
    return Atomics.load(this.#words, ADMITTED);
  }

  admit(rows: number): void {
    Atomics.add(this.#words, ADMITTED, rows);
  }

  /** A linker that gets true may work until it leaves; false: linkers are held. */
  enter(): boolean {
    Atomics.add(this.#words, LINKERS, 1);
    // Who holds says so first and then looks for linkers at work: one of us sees the other.
    if (Atomics.load(this.#words, HELD) === 0) return true;
    this.leave();
    return false;
  }

  leave(): void {
    Atomics.sub(this.#words, LINKERS, 1);
  }

  /** Keeps linkers away; they are gone once `isStill`. */
  hold(): void {
    Atomics.store(this.#words, HELD, 1);
  }

  get isStill(): boolean {
    return Atomics.load(this.#words, LINKERS) === 0;
  }

  release(): void {
    Atomics.store(this.#words, HELD, 0);
  }

  /** Each number is whole by itself; one may be newer than another. */
  get disk(): DiskState {
    return {
      walBytes: this.#numbers[WAL_BYTES]!,
      walOldest: this.#numbers[WAL_OLDEST]!,
      imageSequence: this.#numbers[IMAGE_SEQUENCE]!,
      imageTimeMs: this.#numbers[IMAGE_TIME]!,
    };
  }

  set disk({ walBytes, walOldest, imageSequence, imageTimeMs }: DiskState) {
    this.#numbers[WAL_BYTES] = walBytes;
    this.#numbers[WAL_OLDEST] = walOldest;
    this.#numbers[IMAGE_SEQUENCE] = imageSequence;
    this.#numbers[IMAGE_TIME] = imageTimeMs;
  }
}
