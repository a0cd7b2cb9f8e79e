// When something last happened on each route: merged, kept, and never older than it was.

import assert from 'node:assert/strict';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { ActivityClock } from '../../src/hub/activity.ts';
import { routeName } from '../../src/hub/routespec.ts';
import { rememberingLogger, temporaryFolder, userRoute } from '../support/hub-store.ts';

const SPEC = '/user/zoe/';
const ROUTER = `${routeName('router', SPEC)}@file`;

function startClock(t: TestContext, file: string, specs: readonly string[] = [SPEC]) {
  const { log, lines } = rememberingLogger();
  const routes = new Map(specs.map((spec) => [spec, { ...userRoute('zoe'), routespec: spec }]));
  const clock = new ActivityClock({ routes, file, log });
  t.after(() => {
    clock.close();
  });
  return { clock, lines, routes };
}

describe('the activity of routes', () => {
  it('begins with the route, and takes the latest that any worker tells', (t) => {
    const { clock } = startClock(t, join(temporaryFolder(t), 'activity'));
    const before = Date.now();
    clock.begin(SPEC);
    assert.ok(clock.clocks(SPEC).last >= before);
    assert.equal(clock.clocks(SPEC).user, 0);
    clock.note([{ router: ROUTER, agoMs: 3_600_000 }]);
    assert.ok(clock.clocks(SPEC).last >= before);
    const begun = clock.clocks(SPEC).last;
    clock.note([{ router: ROUTER, agoMs: -5000, userAgoMs: 1000 }]);
    assert.ok(clock.clocks(SPEC).last >= begun + 5000);
    const { user } = clock.clocks(SPEC);
    clock.note([
      { router: ROUTER, agoMs: 0, userAgoMs: 9000 },
      { router: ROUTER, agoMs: 0 },
    ]);
    assert.equal(clock.clocks(SPEC).user, user);
  });

  it('takes over what somebody else knows, if that is later', (t) => {
    const { clock } = startClock(t, join(temporaryFolder(t), 'activity'));
    clock.restore(SPEC, 1000);
    assert.equal(clock.clocks(SPEC).last, 1000);
    clock.restore(SPEC, 500);
    assert.equal(clock.clocks(SPEC).last, 1000);
    clock.restore(SPEC, 2000);
    assert.equal(clock.clocks(SPEC).last, 2000);
  });

  it('outlives the program, privately, for the routes that are there', (t) => {
    const file = join(temporaryFolder(t), 'activity');
    const first = startClock(t, file, [SPEC, '/user/amy/']);
    first.clock.note([
      { router: ROUTER, agoMs: 60_000, userAgoMs: 70_000 },
      { router: 'router_of_nobody@file', agoMs: 1 },
    ]);
    first.clock.begin('/user/amy/');
    first.routes.delete('/user/amy/');
    first.clock.close();
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.deepEqual(Object.keys((JSON.parse(readFileSync(file, 'utf8')) as { routes: object }).routes), [
      SPEC,
    ]);
    const second = startClock(t, file);
    assert.equal(second.clock.clocks(SPEC).last, first.clock.clocks(SPEC).last);
    assert.equal(second.clock.clocks(SPEC).user, first.clock.clocks(SPEC).user);
    assert.deepEqual(second.lines, []);
  });

  it('begins anew, and says so, when its file is broken; says once that it cannot be written', (t) => {
    const folder = temporaryFolder(t);
    writeFileSync(join(folder, 'activity'), '{');
    const { clock, lines } = startClock(t, join(folder, 'activity'));
    assert.match(String(lines[0]?.['msg']), /begins anew/);
    assert.ok(clock.clocks(SPEC).last <= Date.now());
    const other = startClock(t, join(folder, 'missing', 'activity'));
    for (let index = 0; index < 2; index++) {
      other.clock.begin(SPEC);
      other.clock.save();
    }
    assert.deepEqual(
      other.lines.map(({ msg }) => msg),
      ['the activity of routes cannot be kept for the next start'],
    );
  });
});
