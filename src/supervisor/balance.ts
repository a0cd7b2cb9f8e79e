// Workers accept by themselves, and under light load one of them wins more often than the others; tunnels then stay with it for days. A
// worker well above its share leaves accepting to the others until it is near it again.

/** More than this times the mean, and this many more, is well above; half of both is near enough again. */
const EXCESS = 0.25;
const EXCESS_CONNECTIONS = 16;

/** What is known of a worker that could accept. */
export interface Load {
  readonly id: number;
  readonly connections: number;
  readonly isResting: boolean;
}

/** Who should rest. Never all of them: somebody is at the mean or below it. */
export function chooseResting(loads: readonly Load[]): ReadonlySet<number> {
  const mean = loads.reduce((sum, { connections }) => sum + connections, 0) / loads.length;
  const isAbove = ({ connections, isResting }: Load): boolean => {
    const factor = isResting ? 0.5 : 1;
    return connections > mean * (1 + EXCESS * factor) + EXCESS_CONNECTIONS * factor;
  };
  return new Set(loads.filter(isAbove).map(({ id }) => id));
}
