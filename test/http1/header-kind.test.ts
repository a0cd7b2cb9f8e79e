import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { HeaderKind, headerKindAt } from '../../src/http1/header-kind.ts';

function kindOf(name: string): number {
  const bytes = Buffer.from(`..${name}..`, 'latin1');
  return headerKindAt(bytes, 2, name.length);
}

describe('headerKindAt', () => {
  const cases: readonly { readonly name: string; readonly kind: keyof typeof HeaderKind }[] = [
    { name: 'host', kind: 'host' },
    { name: 'HOST', kind: 'host' },
    { name: 'Connection', kind: 'connection' },
    { name: 'Content-Length', kind: 'contentLength' },
    { name: 'TRANSFER-encoding', kind: 'transferEncoding' },
    { name: 'Upgrade', kind: 'upgrade' },
    { name: 'TE', kind: 'te' },
    { name: 'Keep-Alive', kind: 'keepAlive' },
    { name: 'Proxy-Connection', kind: 'hopByHop' },
    { name: 'Proxy-Authorization', kind: 'hopByHop' },
    { name: 'HTTP2-Settings', kind: 'hopByHop' },
    { name: 'Expect', kind: 'expect' },
    { name: 'X-Forwarded-For', kind: 'forwardedFor' },
    { name: 'x-real-ip', kind: 'realIp' },
    // Servers that turn headers into variables cannot tell these from the real ones.
    { name: 'X_Forwarded_For', kind: 'forwardedOther' },
    { name: 'x_real-ip', kind: 'forwardedOther' },
    { name: 'X-Forwarded_Proto', kind: 'forwardedOther' },
    { name: 'X-Forwarded-Prefix', kind: 'forwardedOther' },
    { name: 'Content_Length', kind: 'hopByHop' },
    { name: 'transfer_Encoding', kind: 'hopByHop' },
    { name: 'Keep_Alive', kind: 'other' },
    { name: 'Hosts', kind: 'other' },
    { name: 'Hos', kind: 'other' },
    { name: 'X-Other', kind: 'other' },
    { name: 'xost', kind: 'other' },
    { name: '', kind: 'other' },
  ];
  for (const { name, kind } of cases)
    it(`${JSON.stringify(name)} is ${kind}`, () => {
      assert.equal(kindOf(name), HeaderKind[kind]);
    });
});
