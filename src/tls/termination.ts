// TLS on sockets that an entry point has accepted and looked into: the server name decides about certificate and options before OpenSSL
// sees the first byte, because a context alone can change neither versions nor client authentication later on.
//
//   name ──► options of its host (default) ──► certificate (the default one) ──► TLS server of this pair ──► handshake

import type { Socket } from 'node:net';
import tls from 'node:tls';
import type { TLSSocket } from 'node:tls';
import { isDeepStrictEqual } from 'node:util';
import { errorText, ProxyError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { DEFAULT_TLS_OPTIONS } from '../runtime/table-change.ts';
import type { TlsOptionsSpec, TlsSpec } from '../runtime/table-change.ts';
import { canonicalAddress, CertificateStore } from './certificate-store.ts';
import type { Pair } from './certificate-store.ts';
import { serverOptions } from './server-options.ts';

/** Which options a host has on one entry point; undefined: the default ones. */
export type HostOptions = (host: string) => string | undefined;

/** Who the handshake is for. */
export interface HandshakeRequest {
  readonly socket: Socket;
  readonly entryPoint: string;
  /** From the ClientHello; empty when it names nobody. */
  readonly serverName: string;
  readonly hostOptions: HostOptions;
  /** Called once if the handshake succeeds. Its failure shows as the socket's end. */
  readonly onSecure: (secured: TLSSocket, options: string) => void;
}

interface Waiting {
  readonly options: TlsOptionsSpec;
  readonly onSecure: HandshakeRequest['onSecure'];
}

/** Servers of node:tls by what they are made of. They never listen, sockets are given to them. */
type Servers = Map<TlsOptionsSpec, Map<Pair, tls.Server>>;

/** Everything about TLS in one worker. */
export class TlsTermination {
  readonly #log: Logger;
  readonly #certificates = new CertificateStore();
  #options = new Map<string, TlsOptionsSpec>();
  #refusedHosts = new Map<string, ReadonlySet<string>>();
  #ticketKeys: Buffer = Buffer.alloc(0);
  /** The very objects that are in use, by what they say: an update that repeats them keeps them. */
  #pairs = new Map<string, Pair>();
  /** Made when first needed. */
  #servers: Servers = new Map();
  readonly #waiting = new WeakMap<Socket, Waiting>();

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Replaces everything; handshakes and connections that exist are not touched. Throws JTP_ERR_TLS_CERTIFICATE, with all as before. */
  update(spec: TlsSpec): void {
    const pairs = new Map<string, Pair>();
    const same = (pair: Pair): Pair => {
      const text = `${pair.cert}\n${pair.key}`;
      const known = this.#pairs.get(text) ?? pair;
      pairs.set(text, known);
      return known;
    };
    const { defaultCertificate, fallbackCertificate } = spec;
    const fallback = defaultCertificate ?? fallbackCertificate;
    this.#certificates.update(
      spec.certificates.map(same),
      fallback === undefined ? undefined : same(fallback),
    );
    const options = new Map<string, TlsOptionsSpec>();
    for (const fresh of spec.options) {
      const known = this.#options.get(fresh.name);
      options.set(fresh.name, known !== undefined && isDeepStrictEqual(known, fresh) ? known : fresh);
    }
    this.#options = options;
    this.#pairs = pairs;
    this.#refusedHosts = new Map(
      Object.entries(spec.refusedHosts).map(([entryPoint, hosts]) => [entryPoint, new Set(hosts)]),
    );
    this.#keepServers(Buffer.from(spec.ticketKey, 'base64'));
  }

  /** Drops the servers that nothing asks for any more; the others learn the new key. */
  #keepServers(ticketKeys: Buffer): void {
    const hasNewKey = !ticketKeys.equals(this.#ticketKeys);
    this.#ticketKeys = ticketKeys;
    const options = new Set(this.#options.values());
    const pairs = new Set(this.#pairs.values());
    for (const [spec, byPair] of this.#servers) {
      if (!options.has(spec)) this.#servers.delete(spec);
      for (const [pair, server] of byPair) {
        if (!pairs.has(pair)) byPair.delete(pair);
        else if (hasNewKey) server.setTicketKeys(ticketKeys);
      }
    }
  }

  /** Begins a handshake. Throws ProxyError JTP_ERR_TLS_REFUSED when the name gets none, JTP_ERR_TLS_CERTIFICATE when there is nothing to offer. */
  secure(request: HandshakeRequest): void {
    const { socket, entryPoint, serverName, hostOptions, onSecure } = request;
    const options = this.#optionsFor(entryPoint, serverName, hostOptions);
    const pair = this.#certificates.find(
      serverName === '' ? canonicalAddress(socket.localAddress ?? '') : serverName,
    );
    if (pair === undefined && options.sniStrict)
      throw new ProxyError('JTP_ERR_TLS_REFUSED', {
        message: `no certificate for "${serverName}" (sniStrict)`,
      });
    const chosen = pair ?? this.#certificates.default;
    if (chosen === undefined)
      throw new ProxyError('JTP_ERR_TLS_CERTIFICATE', { message: 'there is no certificate to offer' });
    const server = this.#serverFor(options, chosen);
    this.#waiting.set(socket, { options, onSecure });
    server.emit('connection', socket);
  }

  #optionsFor(entryPoint: string, serverName: string, hostOptions: HostOptions): TlsOptionsSpec {
    if (this.#refusedHosts.get(entryPoint)?.has(serverName) === true)
      throw new ProxyError('JTP_ERR_TLS_REFUSED', {
        message: `the TLS options of "${serverName}" cannot be used`,
      });
    const name = serverName === '' ? undefined : hostOptions(serverName);
    const options = this.#options.get(name ?? DEFAULT_TLS_OPTIONS);
    if (options === undefined)
      throw new ProxyError('JTP_ERR_TLS_REFUSED', {
        message: `there are no TLS options "${name ?? DEFAULT_TLS_OPTIONS}"`,
      });
    return options;
  }

  #serverFor(options: TlsOptionsSpec, pair: Pair): tls.Server {
    let byPair = this.#servers.get(options);
    if (byPair === undefined) {
      byPair = new Map();
      this.#servers.set(options, byPair);
    }
    let server = byPair.get(pair);
    if (server === undefined) {
      server = this.#createServer(options, pair);
      byPair.set(pair, server);
    }
    return server;
  }

  #createServer(options: TlsOptionsSpec, pair: Pair): tls.Server {
    let server: tls.Server;
    try {
      server = tls.createServer(serverOptions(options, pair, this.#ticketKeys));
    } catch (cause) {
      throw new ProxyError('JTP_ERR_TLS_CERTIFICATE', {
        message: `the certificate cannot be used: ${errorText(cause)}`,
        cause,
      });
    }
    server.on('secureConnection', (secured) => {
      this.#complete(secured);
    });
    server.on('tlsClientError', (error, secured) => {
      this.#log.debug({ reason: error.message, client: secured.remoteAddress }, 'a TLS handshake failed');
      secured.destroy();
    });
    return server;
  }

  #complete(secured: TLSSocket): void {
    // Node does not document this field; without it, a server of node:tls cannot be asked which socket it has secured.
    const { _parent: socket } = secured as { _parent?: Socket };
    const waiting = socket === undefined ? undefined : this.#waiting.get(socket);
    if (waiting === undefined) {
      secured.destroy();
      return;
    }
    const reason = objection(secured, waiting.options);
    if (reason !== undefined) {
      this.#log.debug({ reason, client: secured.remoteAddress }, 'a client certificate was refused');
      secured.destroy();
      return;
    }
    waiting.onSecure(secured, waiting.options.name);
  }
}

/** What is wrong with the certificate a client has shown, or not. Source: Go's crypto/tls, ClientAuthType. */
function objection(secured: TLSSocket, { clientAuth }: TlsOptionsSpec): string | undefined {
  const { type } = clientAuth;
  if (type === 'NoClientCert' || type === 'RequestClientCert') return undefined;
  const hasCertificate = secured.getPeerX509Certificate() !== undefined;
  if (!hasCertificate) return type === 'VerifyClientCertIfGiven' ? undefined : 'none was given';
  if (type === 'RequireAnyClientCert' || secured.authorized) return undefined;
  return String(secured.authorizationError);
}
