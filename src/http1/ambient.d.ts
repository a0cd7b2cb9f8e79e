// Two things that exist in every supported Node and that its type definitions leave out.

declare namespace WebAssembly {
  class Module {
    constructor(bytes: Uint8Array);
  }
  class Instance {
    readonly exports: Record<string, unknown>;
    constructor(module: Module, imports: Record<string, Record<string, (...values: number[]) => number>>);
  }
  interface Memory {
    readonly buffer: ArrayBuffer;
  }
}

interface Buffer {
  /** `toString('latin1', start, end)` without its argument checks: measurable in the path of every request. */
  latin1Slice(start: number, end: number): string;
}
