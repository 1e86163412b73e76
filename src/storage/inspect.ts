/**
 * What the command line shows of a log or an image, without the engine; it never throws for damage,
 * it tells.
 */
import { OmenError } from "../errors.ts";
import type { Files } from "./files.ts";
import type { Crc32c } from "./frame.ts";
import { IMAGE_VERSION, type ImageSection } from "./head.ts";
import { type ByteSource, Image, readImage } from "./image.ts";
import {
  type LeftOut,
  listSegments,
  loadHeader,
  readChain,
  type Segment,
  withFile,
} from "./recovery.ts";
import { scanSegment, wholeSegment } from "./scan.ts";
import { SEGMENT_VERSION } from "./segment.ts";

export interface SegmentReport {
  file: string;
  bytes: number;
  version?: number;
  firstSequence: number;
  /** firstSequence - 1 when there is no frame. */
  lastSequence?: number;
  frames?: number;
  rows?: number;
  marks?: number;
  /** Up to where the segment is sound. */
  validBytes?: number;
  /** What the marks call durable. */
  durableBytes?: number;
  /** Where its successor says that it ends, and whether the rest was refused. */
  statedBytes?: number;
  abandoned?: boolean;
  fault?: { code: string; offset?: number; message: string };
}

export interface ImageReport {
  file: string;
  sound: boolean;
  bytes?: number;
  version?: number;
  sequence?: number;
  settings?: Record<string, unknown>;
  sections: (ImageSection & { sound: boolean; fault?: string })[];
  fault?: { code: string; message: string };
}

/** Each segment of the folder, oldest first. */
export async function inspectWal(
  files: Files,
  folder: string,
  crc32c: Crc32c,
): Promise<SegmentReport[]> {
  const source = { files, folder, crc32c };
  const reports: SegmentReport[] = [];
  for (const segment of await listSegments(source)) {
    const report: SegmentReport = {
      file: segment.path,
      bytes: segment.bytes,
      firstSequence: segment.firstSequence,
    };
    try {
      await inspectSegment(source, segment, report, reports.at(-1));
    } catch (error) {
      report.fault = faultOf(error);
    }
    reports.push(report);
  }
  return reports;
}

/**
 * What a start without an image would make of the folder: what it would leave out, or why it would
 * refuse. With an image that holds their writes, damage in the older segments stops nothing.
 */
export async function inspectChain(
  files: Files,
  folder: string,
  crc32c: Crc32c,
): Promise<{
  readonly cut: readonly LeftOut[];
  readonly ignored: readonly LeftOut[];
  readonly fault?: { readonly code: string; readonly message: string };
}> {
  const source = { files, folder, crc32c };
  try {
    const oldest = (await listSegments(source))[0]?.firstSequence ?? 1;
    const { cut, ignored } = await readChain(source, oldest - 1, () => undefined);
    return { cut, ignored };
  } catch (error) {
    return { cut: [], ignored: [], fault: faultOf(error) };
  }
}

/** Reads every section chunk by chunk and checks it, one MiB in memory at a time. */
export async function verifyImage(
  files: Files,
  path: string,
  crc32c: Crc32c,
): Promise<ImageReport> {
  try {
    return await verifySections(await readImage(files, path, crc32c));
  } catch (error) {
    return { file: path, sound: false, sections: [], fault: faultOf(error) };
  }
}

/** The same of anything that can be read by range; closes it. */
export async function verifySource(source: ByteSource, crc32c: Crc32c): Promise<ImageReport> {
  try {
    return await verifySections(await Image.open(source, crc32c));
  } catch (error) {
    await source.close?.();
    return { file: source.name, sound: false, sections: [], fault: faultOf(error) };
  }
}

async function verifySections(image: Image): Promise<ImageReport> {
  const sections: ImageReport["sections"] = [];
  try {
    for (const section of image.sections) {
      try {
        await image.verify(section.name);
        sections.push({ ...section, sound: true });
      } catch (error) {
        sections.push({ ...section, sound: false, fault: faultOf(error).message });
      }
    }
  } finally {
    await image.close();
  }
  const { sequence, settings } = image;
  const { name: file, size: bytes } = image.source;
  const sound = sections.every((section) => section.sound);
  return { file, sound, bytes, version: IMAGE_VERSION, sequence, settings, sections };
}

async function inspectSegment(
  source: { files: Files; folder: string; crc32c: Crc32c },
  segment: Segment,
  report: SegmentReport,
  previous: SegmentReport | undefined,
): Promise<void> {
  const header = await loadHeader(source, segment);
  report.version = SEGMENT_VERSION;
  if (previous?.firstSequence === header.previousFirst) {
    previous.statedBytes = header.previousBytes;
    previous.abandoned = header.afterAbandoned;
  }
  const scan = await withFile(source.files, segment.path, (file) =>
    scanSegment(wholeSegment(file, header, segment.bytes), source.crc32c),
  );
  const { fault, ...found } = scan;
  Object.assign(report, found);
  if (fault !== undefined) report.fault = fault;
}

function faultOf(error: unknown): { code: string; message: string } {
  if (error instanceof OmenError) return { code: error.code, message: error.message };
  const code = (error as { code?: unknown }).code;
  return { code: String(code ?? "INTERNAL"), message: String((error as Error).message ?? error) };
}
