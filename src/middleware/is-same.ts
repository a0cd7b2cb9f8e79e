import { createHash, timingSafeEqual } from 'node:crypto';

/** Compares secrets; the time taken does not depend on where they differ. */
export function isSame(a: string, b: string): boolean {
  const left = createHash('sha256').update(a).digest();
  const right = createHash('sha256').update(b).digest();
  return timingSafeEqual(left, right);
}
