// docs/route-store.md as a machine without files: what is in memory, in the journal and in rules.toml after each step. Its steps are the
// smallest ones between which a machine can die.

/** Routespec → target. */
export type Table = ReadonlyMap<string, string>;

/** What a commit sets (a target) and removes (undefined). */
export type Delta = ReadonlyMap<string, string | undefined>;

interface Line {
  readonly generation: number;
  readonly delta: Delta;
  readonly state: 'whole' | 'torn' | 'cached';
}

interface JournalFile {
  readonly generation: number;
  readonly table: Table;
  readonly lines: readonly Line[];
}

interface View {
  readonly generation: number;
  readonly table: Table;
  /** Undefined: not to be used. */
  readonly foreign: string | undefined;
  readonly isOurs: boolean;
}

/** The whole world. */
export interface World {
  memory: { generation: number; table: Table; foreign: string } | undefined;
  /** What the process holds open: the same object as `journal` unless somebody has interfered. */
  journal: JournalFile | undefined;
  hasJournalOpen: boolean;
  foreignInJournal: string;
  view: View;
  acknowledged: Table;
  /** Began, and not answered. */
  inFlight: Delta | undefined;
}

export function amended(table: Table, delta: Delta): Table {
  const next = new Map(table);
  for (const [routespec, target] of delta)
    if (target === undefined) next.delete(routespec);
    else next.set(routespec, target);
  return next;
}

export function newWorld(): World {
  return {
    memory: undefined,
    journal: undefined,
    hasJournalOpen: false,
    foreignInJournal: '',
    view: { generation: 0, table: new Map(), foreign: '', isOurs: false },
    acknowledged: new Map(),
    inFlight: undefined,
  };
}

/** One step of the store; each is atomic on disk or leaves what the model says. */
export const steps = {
  /** Bytes are on their way. */
  beginCommit(world: World, delta: Delta): void {
    const { memory } = world;
    if (memory === undefined) return;
    world.inFlight = delta;
    if (!world.hasJournalOpen || world.journal === undefined) return;
    const line: Line = { generation: memory.generation + 1, delta, state: 'cached' };
    world.journal = { ...world.journal, lines: [...world.journal.lines, line] };
  },

  /** The append has returned; the journal is looked at, written anew if it is not the one we know, and the change answered. */
  endCommit(world: World): void {
    const { memory, inFlight } = world;
    if (memory === undefined || inFlight === undefined) return;
    const generation = memory.generation + 1;
    const table = amended(memory.table, inFlight);
    if (world.hasJournalOpen && world.journal !== undefined) {
      const lines = world.journal.lines.map((line) => ({ ...line, state: 'whole' as const }));
      world.journal = { ...world.journal, lines };
    } else {
      world.journal = { generation, table, lines: [] };
      world.hasJournalOpen = true;
      world.foreignInJournal = memory.foreign;
    }
    world.memory = { ...memory, generation, table };
    world.acknowledged = table;
    world.inFlight = undefined;
  },

  /** The disk was full: what was written is cut off again. */
  failCommit(world: World): void {
    const { memory, journal } = world;
    if (memory === undefined || world.inFlight === undefined) return;
    if (journal !== undefined)
      world.journal = { ...journal, lines: journal.lines.filter(({ state }) => state === 'whole') };
    world.inFlight = undefined;
  },

  compact(world: World): void {
    const { memory } = world;
    if (memory === undefined || world.inFlight !== undefined || !world.hasJournalOpen) return;
    world.journal = { generation: memory.generation, table: memory.table, lines: [] };
    world.foreignInJournal = memory.foreign;
  },

  /** Looks at the view and writes it; what somebody else did to the rest of it is taken first. */
  writeView(world: World): void {
    const { memory, view } = world;
    if (memory === undefined) return;
    if (!view.isOurs && view.foreign !== undefined) memory.foreign = view.foreign;
    world.view = {
      generation: memory.generation,
      table: memory.table,
      foreign: memory.foreign,
      isOurs: true,
    };
    world.foreignInJournal = memory.foreign;
  },

  editView(world: World, foreign: string): void {
    if (world.journal === undefined) return;
    world.view = { ...world.view, table: new Map([['/edited/', 'x']]), foreign, isOurs: false };
  },

  /** Emptied, removed or broken. */
  spoilView(world: World): void {
    // Both files spoilt before anybody has looked is more than two files can survive.
    if (world.journal === undefined) return;
    world.view = { generation: 0, table: new Map(), foreign: undefined, isOurs: false };
  },

  /** Removed, replaced or truncated while we run. */
  spoilJournal(world: World): void {
    if (world.memory === undefined || world.inFlight !== undefined) return;
    // Noticed at once by the next commit, and by a look within two seconds; a crash before that has rules.toml.
    steps.writeView(world);
    world.journal = undefined;
    world.hasJournalOpen = false;
  },

  /** The machine dies; `keeps` says what becomes of bytes that were on their way. */
  crash(world: World, keeps: 'all' | 'half' | 'nothing'): void {
    const { journal } = world;
    if (journal !== undefined) {
      const lines = journal.lines.flatMap((line): Line[] => {
        if (line.state !== 'cached' || keeps === 'all') return [{ ...line, state: 'whole' }];
        return keeps === 'half' ? [{ ...line, state: 'torn' }] : [];
      });
      world.journal = { ...journal, lines };
    }
    world.memory = undefined;
    world.hasJournalOpen = false;
  },

  /** "Recovery, in order". */
  start(world: World): void {
    if (world.memory !== undefined) return;
    const { journal, view } = world;
    if (journal === undefined) {
      world.memory = { generation: view.generation, table: view.table, foreign: view.foreign ?? '' };
    } else {
      let { generation, table } = journal;
      for (const line of journal.lines) {
        if (line.state === 'torn') continue;
        ({ generation } = line);
        table = amended(table, line.delta);
      }
      if (!view.isOurs && view.foreign !== undefined && view.generation > generation)
        ({ generation, table } = view);
      const foreign = view.isOurs ? view.foreign : (view.foreign ?? world.foreignInJournal);
      world.memory = { generation, table, foreign: foreign ?? '' };
    }
    world.inFlight = undefined;
    world.journal = { generation: world.memory.generation, table: world.memory.table, lines: [] };
    world.hasJournalOpen = true;
    world.foreignInJournal = world.memory.foreign;
  },
};
