import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { Route } from '../../src/exchange/route.ts';
import { RoutesOfService } from '../../src/worker/routes-of-service.ts';

function route(name: string): Route {
  return { name, tlsOptions: undefined, chain: [], service: undefined };
}

it('knows none, one or several routes of a service, whatever the order in which they come and go', () => {
  const routes = new RoutesOfService();
  const [a, b, c] = [route('a'), route('b'), route('c')];
  const names = (): string[] => [...routes.of('app')].map(({ name }) => name);
  assert.deepEqual(names(), []);
  routes.add('app', a);
  routes.add('other', c);
  assert.deepEqual(names(), ['a']);
  routes.add('app', b);
  routes.add('app', c);
  assert.deepEqual(names(), ['a', 'b', 'c']);
  routes.delete('app', a);
  routes.delete('app', a);
  assert.deepEqual(names(), ['b', 'c']);
  routes.delete('app', b);
  routes.delete('app', c);
  assert.deepEqual(names(), []);
  routes.add('app', a);
  routes.delete('app', b);
  assert.deepEqual(names(), ['a']);
  assert.deepEqual([...routes.of('other')], [c]);
});
