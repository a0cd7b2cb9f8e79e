// Traefik's metrics in a controller: what the workers tell is added up, and `prometheus@internal` reads it.

import { X509Certificate } from 'node:crypto';
import type { CountsMessage } from '../channel/messages.ts';
import type { PrometheusConfiguration } from '../config/prometheus.ts';
import { TrafficMetrics } from '../observe/traffic-metrics.ts';
import type { CertificateFacts } from '../observe/traffic-metrics.ts';
import { TrafficTotals } from '../observe/traffic-totals.ts';
import type { ScopeTotals } from '../observe/traffic-totals.ts';
import type { Runtime } from '../runtime/runtime.ts';

/** The metrics of one engine. */
export class TrafficWatch {
  readonly metrics: TrafficMetrics;
  readonly #totals: TrafficTotals;
  /** PEM → what is said about it. */
  #certificates = new Map<string, CertificateFacts>();

  constructor(runtime: Runtime, configuration: PrometheusConfiguration) {
    this.#totals = new TrafficTotals((scope) => exists(runtime, scope));
    this.metrics = new TrafficMetrics({
      totals: this.#totals,
      buckets: configuration.buckets,
      entryPoints: configuration.addEntryPointsLabels,
      routers: configuration.addRoutersLabels,
      services: configuration.addServicesLabels,
      headerLabels: [...configuration.headerLabels.keys()],
      certificates: () => this.#readCertificates(runtime),
    });
  }

  /** From a worker. */
  note({ traffic, refused }: Pick<CountsMessage, 'traffic' | 'refused'>): void {
    if (traffic !== undefined) this.#totals.add(traffic);
    if (refused !== undefined) this.#totals.addRefused(refused);
  }

  /** Of what was configured, not of the one that the engine makes for itself. */
  #readCertificates({ tls }: Runtime): readonly CertificateFacts[] {
    const { certificates, defaultCertificate } = tls;
    const texts = [...certificates, ...(defaultCertificate === undefined ? [] : [defaultCertificate])];
    const known = new Map<string, CertificateFacts>();
    for (const { cert } of texts) known.set(cert, this.#certificates.get(cert) ?? certificateFacts(cert));
    this.#certificates = known;
    return [...known.values()];
  }
}

/** A router's label may begin with an entry point. */
function exists(runtime: Runtime, { kind, name, service }: ScopeTotals): boolean {
  if (kind === 'service') return runtime.services.has(name);
  if (kind === 'entrypoint') return runtime.static.entryPoints.has(name);
  if (service === undefined || !runtime.services.has(service)) return false;
  if (runtime.routers.has(name)) return true;
  for (const entryPoint of runtime.static.entryPoints.keys())
    if (name.startsWith(`${entryPoint}-`) && runtime.routers.has(name.slice(entryPoint.length + 1)))
      return true;
  return false;
}

function certificateFacts(pem: string): CertificateFacts {
  const { subject, serialNumber, subjectAltName = '', validTo } = new X509Certificate(pem);
  const names = [...subjectAltName.matchAll(/DNS:([^,\s]+)/g)].map(([, name = '']) => name);
  return {
    cn: /^CN=(.*)$/m.exec(subject)?.[1] ?? '',
    serial: BigInt(`0x${serialNumber}`).toString(),
    sans: names.sort().join(','),
    notAfter: Math.trunc(Date.parse(validTo) / 1000),
  };
}
