// How the addresses of peers are written everywhere in the program.

/** `::ffff:10.0.0.1` is `10.0.0.1`; a zone (`fe80::1%eth0`) means nothing elsewhere. */
export function plainAddress(address: string): string {
  const plain = address.replace(/%.*$/, '');
  return plain.startsWith('::ffff:') && plain.includes('.') ? plain.slice('::ffff:'.length) : plain;
}
