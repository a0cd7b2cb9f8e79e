import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parseTargetUrl } from '../../src/upstream/target-address.ts';

/** What comes of it, or that it is refused. A question mark without a query says nothing, and keeps a URL from being taken for a usual one. */
function read(url: string): unknown {
  try {
    return parseTargetUrl(url);
  } catch {
    return 'refused';
  }
}

const label = fc.constantFrom(
  'a',
  'A',
  'x-',
  '-x',
  'xn--a',
  'xn--bcher-kva',
  'n0',
  '0',
  '1',
  '01',
  '255',
  '256',
  '0x7f',
  'a_b',
  'é',
  '',
);
const host = fc.oneof(
  fc.array(label, { minLength: 1, maxLength: 5 }).map((labels) => labels.join('.')),
  fc.ipV4(),
  fc.domain(),
  fc.constantFrom(
    '[::1]',
    '127.0.0.1',
    '10.0.0.255',
    '1.2.3',
    '1.2.3.4.',
    'localhost',
    'hub_1',
    'u@h',
    'a b',
    '%41',
  ),
);
const port = fc.oneof(
  fc.nat(70_000).map(String),
  fc.constantFrom('80', '080', '8888', '65535', '65536', '99999', '08888', '', '+8888'),
);
const end = fc.constantFrom('', '/', '//', '/x', '/x/', '#');

describe('the address of a server', () => {
  it('is the same for usual URLs, which are read faster, as for any other', () => {
    fc.assert(
      fc.property(host, port, end, (name, number, rest) => {
        const url = `http://${name}:${number}${rest}`;
        assert.deepEqual(read(url), read(url.replace(/(#|$)/, '?$1')));
      }),
      { numRuns: 5000 },
    );
  });

  it('is read from what hubs write', () => {
    for (const name of ['127.0.0.1', '10.0.12.255', 'localhost', 'jupyter-zoe.hub.svc', '1a.example'])
      assert.deepEqual(parseTargetUrl(`http://${name}:8888`), {
        scheme: 'http',
        connect: { host: name, port: 8888 },
        hostHeader: `${name}:8888`,
        path: '',
        query: '',
      });
  });
});
