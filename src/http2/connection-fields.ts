/** Fields of one connection, which HTTP/2 has other means for. Source: RFC 9113 §8.2.2, which lets only `te: trailers` pass in requests. */
export const CONNECTION_FIELDS: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
]);
