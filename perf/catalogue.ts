/**
 * Rows a person can read, for the demo page: things of a shop, each a kind, a material and a colour,
 * with a vector that says so. Every word has a seeded direction of its own, words of one family lie
 * near each other, and a thing is the sum of its words and a little noise: so a red wool scarf finds
 * other red things, other scarves and other wool, in that order of weight.
 */
import { type Random, seededRandom } from "./random.ts";

export const CATALOGUE_DIMENSIONS = 128;

export interface Thing {
  readonly id: string;
  readonly vector: Float32Array;
  readonly metadata: {
    readonly title: string;
    readonly kind: string;
    readonly material: string;
    readonly colour: string;
    readonly price: number;
  };
}

const KINDS: Record<string, readonly string[]> = {
  clothes: ["scarf", "coat", "shirt", "jumper", "dress", "sock", "hat", "glove"],
  kitchen: ["bowl", "jug", "plate", "pan", "knife", "board", "cup", "kettle"],
  furniture: ["chair", "table", "shelf", "bench", "stool", "lamp", "cabinet", "mirror"],
  garden: ["pot", "rake", "trellis", "bucket", "hose", "lantern", "basket", "spade"],
  travel: ["bag", "trunk", "tent", "flask", "map case", "hammock", "blanket", "rucksack"],
  play: ["kite", "ball", "puzzle", "drum", "boat", "train", "doll", "top"],
};
const MATERIALS: Record<string, readonly string[]> = {
  cloth: ["wool", "cotton", "linen", "silk", "felt", "canvas"],
  hard: ["oak", "pine", "steel", "copper", "brass", "stone"],
  fired: ["glass", "clay", "china", "enamel", "terracotta", "tile"],
  woven: ["willow", "cane", "jute", "leather", "cork", "bamboo"],
};
const COLOURS: Record<string, readonly string[]> = {
  warm: ["red", "crimson", "orange", "ochre", "pink"],
  cool: ["blue", "navy", "teal", "green", "violet"],
  quiet: ["white", "grey", "black", "sand", "brown"],
};
const MANNERS = ["plain", "striped", "chequered", "small", "large", "old", "painted", "folding"];
const FAMILY_WEIGHT = 1;
const NOISE = 0.12;

/** So many things, the same for the same seed. */
export function catalogue(count: number, seed = 7): Thing[] {
  const random = seededRandom(seed);
  const words = new Map<string, Float32Array>();
  for (const families of [KINDS, MATERIALS, COLOURS]) giveDirections(words, families, random);
  for (const manner of MANNERS) words.set(manner, directionOf(random));
  const pick = <T>(all: readonly T[]): T => all[random.integer(all.length)]!;
  const pickOf = (families: Record<string, readonly string[]>) => {
    const family = pick(Object.keys(families));
    return { family, word: pick(families[family]!) };
  };
  return Array.from({ length: count }, (_, index) => {
    const [kind, material, colour] = [pickOf(KINDS), pickOf(MATERIALS), pickOf(COLOURS)];
    const manner = pick(MANNERS);
    const vector = new Float32Array(CATALOGUE_DIMENSIONS);
    for (const [word, weight] of [
      [kind.word, 1.5],
      [material.word, 0.8],
      [colour.word, 0.7],
      [manner, 0.35],
    ] as const) {
      const direction = words.get(word)!;
      for (let i = 0; i < vector.length; i++) vector[i]! += weight * direction[i]!;
    }
    for (let i = 0; i < vector.length; i++) vector[i]! += NOISE * random.normal();
    const title = `${manner} ${colour.word} ${material.word} ${kind.word}`;
    const price = 5 + random.integer(200);
    const metadata = { title, kind: kind.family, material: material.word, colour: colour.word };
    return { id: `thing-${index}`, vector, metadata: { ...metadata, price } };
  });
}

function giveDirections(
  words: Map<string, Float32Array>,
  families: Record<string, readonly string[]>,
  random: Random,
): void {
  for (const family of Object.values(families)) {
    const shared = directionOf(random);
    for (const word of family) {
      const own = directionOf(random);
      words.set(
        word,
        own.map((value, i) => value + FAMILY_WEIGHT * shared[i]!),
      );
    }
  }
}

function directionOf(random: Random): Float32Array {
  return Float32Array.from({ length: CATALOGUE_DIMENSIONS }, () => random.normal() / 4);
}
