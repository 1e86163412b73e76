/**
 * The map: every row a point, drawn on a canvas that can be moved and zoomed by mouse, finger and
 * keyboard. It knows places and colours, and nothing of what the points mean.
 */

export interface Marks {
  readonly query: number | undefined;
  readonly hits: readonly number[];
  /** One entry a point: whether it passes the filter; undefined without a filter. */
  readonly passed: Uint8Array | undefined;
}

const SCALE_MAX = 400;
const SCALE_MIN = 0.8;
const REACH_PX = 18;
const PAN_STEP = 0.12;
const NONE: Marks = { query: undefined, hits: [], passed: undefined };

export class PointMap {
  /** A point was chosen. */
  onPick: (point: number) => void = () => undefined;
  /** The point under the pointer, where on the canvas; undefined when there is none. */
  onHover: (point: number | undefined, x: number, y: number) => void = () => undefined;
  readonly #canvas: HTMLCanvasElement;
  readonly #context: CanvasRenderingContext2D;
  #x: Float32Array = new Float32Array(0);
  #y: Float32Array = new Float32Array(0);
  #count = 0;
  #hue: Uint16Array = new Uint16Array(0);
  #marks = NONE;
  /** What lies in the middle, and pixels a unit over those of the whole picture. */
  #centreX = 0;
  #centreY = 0;
  #scale = 1;
  #isDue = false;
  readonly #pointers = new Map<number, { x: number; y: number }>();
  #moved = 0;

  constructor(canvas: HTMLCanvasElement) {
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d")!;
    new ResizeObserver(() => this.#draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#draw());
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerup", (event) => this.#up(event));
    canvas.addEventListener("pointercancel", (event) => this.#pointers.delete(event.pointerId));
    canvas.addEventListener("pointerleave", () => this.onHover(undefined, 0, 0));
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    canvas.addEventListener("keydown", (event) => this.#key(event));
  }

  /** Places in -1 .. 1, hues in degrees; more may be added later. */
  setPoints(x: Float32Array, y: Float32Array, hue: Uint16Array): void {
    [this.#x, this.#y, this.#hue, this.#count] = [x, y, hue, x.length];
    this.showAll();
  }

  addPoint(x: number, y: number, hue: number): void {
    const grow = (length: number) => Math.max(16, Math.ceil(length * 1.2));
    if (this.#count === this.#x.length) {
      const length = grow(this.#count);
      const [xs, ys] = [new Float32Array(length), new Float32Array(length)];
      const hues = new Uint16Array(length);
      xs.set(this.#x);
      ys.set(this.#y);
      hues.set(this.#hue);
      [this.#x, this.#y, this.#hue] = [xs, ys, hues];
    }
    this.#x[this.#count] = x;
    this.#y[this.#count] = y;
    this.#hue[this.#count++] = hue;
    this.#draw();
  }

  mark(marks: Marks): void {
    this.#marks = marks;
    this.#draw();
  }

  showAll(): void {
    [this.#centreX, this.#centreY, this.#scale] = [0, 0, 1];
    this.#draw();
  }

  zoom(factor: number): void {
    const { clientWidth, clientHeight } = this.#canvas;
    this.#zoomAt(factor, clientWidth / 2, clientHeight / 2);
  }

  #unit(): number {
    const { clientWidth, clientHeight } = this.#canvas;
    return (Math.min(clientWidth, clientHeight) / 2.15) * this.#scale;
  }

  #toScreen(x: number, y: number): [number, number] {
    const { clientWidth, clientHeight } = this.#canvas;
    const unit = this.#unit();
    return [
      clientWidth / 2 + (x - this.#centreX) * unit,
      clientHeight / 2 - (y - this.#centreY) * unit,
    ];
  }

  #zoomAt(factor: number, px: number, py: number): void {
    const { clientWidth, clientHeight } = this.#canvas;
    const before = this.#unit();
    this.#scale = Math.min(SCALE_MAX, Math.max(SCALE_MIN, this.#scale * factor));
    const after = this.#unit();
    const [dx, dy] = [px - clientWidth / 2, py - clientHeight / 2];
    this.#centreX += dx / before - dx / after;
    this.#centreY -= dy / before - dy / after;
    this.#draw();
  }

  /** The nearest point on the screen, within reach of a finger. */
  #pointAt(px: number, py: number): number | undefined {
    let best: number | undefined;
    let bestSquared = REACH_PX * REACH_PX;
    for (let point = 0; point < this.#count; point++) {
      const [x, y] = this.#toScreen(this.#x[point]!, this.#y[point]!);
      const squared = (x - px) ** 2 + (y - py) ** 2;
      if (squared < bestSquared) [best, bestSquared] = [point, squared];
    }
    return best;
  }

  #down(event: PointerEvent): void {
    this.#canvas.setPointerCapture(event.pointerId);
    this.#pointers.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
    this.#moved = 0;
  }

  #move(event: PointerEvent): void {
    const before = this.#pointers.get(event.pointerId);
    const { offsetX: x, offsetY: y } = event;
    if (before === undefined) {
      this.onHover(this.#pointAt(x, y), x, y);
      return;
    }
    const other = [...this.#pointers].find(([id]) => id !== event.pointerId)?.[1];
    this.#moved += Math.abs(x - before.x) + Math.abs(y - before.y);
    if (other === undefined) {
      this.#pan(x - before.x, y - before.y);
    } else {
      const spread = Math.hypot(before.x - other.x, before.y - other.y);
      const now = Math.hypot(x - other.x, y - other.y);
      this.#zoomAt(now / Math.max(1, spread), (x + other.x) / 2, (y + other.y) / 2);
    }
    this.#pointers.set(event.pointerId, { x, y });
  }

  #up(event: PointerEvent): void {
    this.#pointers.delete(event.pointerId);
    if (this.#moved > 6) return;
    const point = this.#pointAt(event.offsetX, event.offsetY);
    if (point !== undefined) this.onPick(point);
  }

  #wheel(event: WheelEvent): void {
    event.preventDefault();
    this.#zoomAt(Math.exp(-event.deltaY / 300), event.offsetX, event.offsetY);
  }

  #pan(dx: number, dy: number): void {
    const unit = this.#unit();
    this.#centreX -= dx / unit;
    this.#centreY += dy / unit;
    this.#draw();
  }

  #key(event: KeyboardEvent): void {
    const { clientWidth, clientHeight } = this.#canvas;
    const step = Math.min(clientWidth, clientHeight) * PAN_STEP;
    const actions: Record<string, () => void> = {
      ArrowLeft: () => this.#pan(step, 0),
      ArrowRight: () => this.#pan(-step, 0),
      ArrowUp: () => this.#pan(0, step),
      ArrowDown: () => this.#pan(0, -step),
      "+": () => this.zoom(1.4),
      "=": () => this.zoom(1.4),
      "-": () => this.zoom(1 / 1.4),
      "0": () => this.showAll(),
      Enter: () => this.#pickMiddle(),
    };
    const action = actions[event.key];
    if (action === undefined) return;
    event.preventDefault();
    action();
  }

  #pickMiddle(): void {
    const { clientWidth, clientHeight } = this.#canvas;
    const point = this.#pointAt(clientWidth / 2, clientHeight / 2);
    if (point !== undefined) this.onPick(point);
  }

  /** Draws once before the next frame, however often it is asked. */
  #draw(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    requestAnimationFrame(() => {
      this.#isDue = false;
      this.#paint();
    });
  }

  #paint(): void {
    const canvas = this.#canvas;
    const ratio = devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (canvas.width !== width * ratio) canvas.width = width * ratio;
    if (canvas.height !== height * ratio) canvas.height = height * ratio;
    const context = this.#context;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const size = Math.min(5, 1.3 + Math.log2(Math.max(1, this.#scale)) * 0.6);
    const isDark = matchMedia("(prefers-color-scheme: dark)").matches;
    this.#paintPoints(size, isDark ? 62 : 46);
    const style = getComputedStyle(canvas);
    for (const hit of this.#marks.hits) this.#ring(hit, 6, style.getPropertyValue("--hit"));
    const { query } = this.#marks;
    if (query !== undefined) this.#ring(query, 8, style.getPropertyValue("--query"));
    if (document.activeElement === canvas) this.#cross(style.getPropertyValue("--quiet"));
  }

  /** Points of one hue together: the colour is set once for each. */
  #paintPoints(size: number, lightness: number): void {
    const context = this.#context;
    const { clientWidth, clientHeight } = this.#canvas;
    const { passed } = this.#marks;
    const hues = new Set(this.#hue.subarray(0, this.#count));
    for (const isBright of passed ? [false, true] : [true]) {
      for (const hue of hues) {
        const alpha = isBright ? 0.8 : 0.12;
        context.fillStyle = `hsl(${hue} 55% ${lightness}% / ${alpha})`;
        for (let point = 0; point < this.#count; point++) {
          if (this.#hue[point] !== hue) continue;
          if (passed && Boolean(passed[point]) !== isBright) continue;
          const [x, y] = this.#toScreen(this.#x[point]!, this.#y[point]!);
          if (x < -size || y < -size || x > clientWidth + size || y > clientHeight + size) continue;
          context.fillRect(x - size / 2, y - size / 2, size, size);
        }
      }
    }
  }

  #ring(point: number, radius: number, colour: string): void {
    const [x, y] = this.#toScreen(this.#x[point]!, this.#y[point]!);
    const context = this.#context;
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.lineWidth = 2.5;
    context.strokeStyle = colour;
    context.stroke();
    context.beginPath();
    context.arc(x, y, 2.5, 0, 2 * Math.PI);
    context.fillStyle = colour;
    context.fill();
  }

  #cross(colour: string): void {
    const { clientWidth, clientHeight } = this.#canvas;
    const [x, y] = [clientWidth / 2, clientHeight / 2];
    const context = this.#context;
    context.strokeStyle = colour;
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(x - 8, y);
    context.lineTo(x + 8, y);
    context.moveTo(x, y - 8);
    context.lineTo(x, y + 8);
    context.stroke();
  }
}
