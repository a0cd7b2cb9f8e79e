// The API of version 1, for tools that knew it: what the file provider delivered, as it was written. Source: Traefik 1.7
// documentation, API.

import type { FastifyInstance, FastifyReply } from 'fastify';
import type { DynamicConfiguration } from '../config/dynamic.ts';
import type { Runtime } from '../runtime/runtime.ts';

interface ProviderDocument {
  readonly backends?: Readonly<Record<string, unknown>>;
  readonly frontends?: Readonly<Record<string, unknown>>;
}

/** `/api`, `/api/providers[/file[/frontends|/backends[/name]]]` and `/health`. */
export function registerV1Api(app: FastifyInstance, runtime: Runtime): void {
  const providers = (): Record<string, ProviderDocument> => {
    const file = runtime.provided('file');
    return file === undefined ? {} : { file: providerDocument(file) };
  };
  const send = (reply: FastifyReply, document: unknown): FastifyReply =>
    document === undefined
      ? reply.code(404).type('text/plain; charset=utf-8').send('404 page not found\n')
      : reply.type('application/json; charset=UTF-8').send(JSON.stringify(document));
  app.get('/api', (_request, reply) => send(reply, providers()));
  app.get('/api/providers', (_request, reply) => send(reply, providers()));
  app.get<{ Params: { provider: string } }>('/api/providers/:provider', (request, reply) =>
    send(reply, request.params.provider === 'file' ? providers()['file'] : undefined),
  );
  for (const section of ['frontends', 'backends'] as const) {
    app.get<{ Params: { provider: string } }>(`/api/providers/:provider/${section}`, (request, reply) => {
      const document = request.params.provider === 'file' ? providers()['file'] : undefined;
      return send(reply, document === undefined ? undefined : (document[section] ?? {}));
    });
    app.get<{ Params: { provider: string; name: string } }>(
      `/api/providers/:provider/${section}/:name`,
      (request, reply) => {
        const elements = request.params.provider === 'file' ? providers()['file']?.[section] : undefined;
        const { name } = request.params;
        return send(
          reply,
          elements !== undefined && Object.hasOwn(elements, name) ? elements[name] : undefined,
        );
      },
    );
  }
  app.get('/health', (_request, reply) =>
    send(reply, { pid: process.pid, uptime_sec: Math.round(process.uptime()) }),
  );
}

/** Version-3 content is shown in the old form, too: that is what a version-1 poller asks for. */
function providerDocument(configuration: DynamicConfiguration): ProviderDocument {
  if (configuration.v1 !== undefined)
    return compact({
      backends: Object.fromEntries(configuration.v1.backends),
      frontends: Object.fromEntries(configuration.v1.frontends),
    });
  const backends: Record<string, unknown> = {};
  for (const [name, { loadBalancer }] of configuration.services)
    backends[name] = {
      servers: Object.fromEntries(
        (loadBalancer?.servers ?? []).map(({ url, weight = 1 }, index) => [
          `server${String(index + 1)}`,
          { url, weight },
        ]),
      ),
      loadBalancer: { method: 'wrr' },
    };
  const frontends: Record<string, unknown> = {};
  for (const [name, { rule, service, entryPoints, priority = 0 }] of configuration.routers)
    frontends[name] = {
      entryPoints: entryPoints ?? [],
      backend: service ?? '',
      routes: { rule: { rule } },
      passHostHeader: true,
      priority,
      basicAuth: null,
    };
  return compact({ backends, frontends });
}

function compact(document: {
  readonly backends: Readonly<Record<string, unknown>>;
  readonly frontends: Readonly<Record<string, unknown>>;
}): ProviderDocument {
  return {
    ...(Object.keys(document.backends).length === 0 ? {} : { backends: document.backends }),
    ...(Object.keys(document.frontends).length === 0 ? {} : { frontends: document.frontends }),
  };
}
