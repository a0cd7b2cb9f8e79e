// How the addresses of peers are written everywhere in the program.

/** `::ffff:10.0.0.1` is `10.0.0.1`; a zone (`fe80::1%eth0`) means nothing elsewhere. */
export function plainAddress(address: string): string {
  const plain = address.replace(/%.*$/, '');
  return plain.startsWith('::ffff:') && plain.includes('.') ? plain.slice('::ffff:'.length) : plain;
}

/** The eight groups of an IPv6 address without zone or dotted end, as they are written; `0` for those that `::` leaves out. */
export function ipv6Groups(address: string): string[] {
  const [before = [], after = []] = address
    .split('::')
    .map((part) => part.split(':').filter((group) => group !== ''));
  const zeros = new Array<string>(Math.max(0, 8 - before.length - after.length)).fill('0');
  return [...before, ...zeros, ...after];
}
