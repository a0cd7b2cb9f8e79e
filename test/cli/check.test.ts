// `check`, as somebody calls it who has just read about it.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { temporaryFolder } from '../support/hub-store.ts';

const PROGRAM = new URL('../../../bin/jupyterhub-traefik-proxy.js', import.meta.url).pathname;

const ROUTES = '[http.routers.x]\nrule = "PathPrefix(`/x`)"\nservice = "x"\n';

describe('the command check', () => {
  for (const { name, file, text, says, code } of [
    { name: 'a routes file for one', file: 'rules.toml', text: ROUTES, says: /rules\.toml: ok\n$/, code: 0 },
    {
      name: 'a routes file for one, in YAML',
      file: 'rules.yaml',
      text: 'http: { routerz: {} }\n',
      says: /rules\.yaml:1: http\.routerz: unknown key, did you mean "routers"\?\n$/,
      code: 1,
    },
    {
      name: 'a static file for one',
      file: 'traefik.toml',
      text: '[entryPoints.web]\naddress = ":80"\n[log]\nlevle = "INFO"\n',
      says: /traefik\.toml:4: log\.levle: unknown key, did you mean "level"\?\n$/,
      code: 1,
    },
    {
      name: 'a file that is broken for a static one',
      file: 'broken.toml',
      text: '[http.',
      says: /broken\.toml:1: /,
      code: 1,
    },
  ])
    it(`takes ${name}`, (t) => {
      const path = join(temporaryFolder(t), file);
      writeFileSync(path, text);
      const { stderr, status } = spawnSync(process.execPath, [PROGRAM, 'check', path], { encoding: 'utf8' });
      assert.match(stderr, says);
      assert.equal(status, code);
    });
});
