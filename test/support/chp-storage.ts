// A storage backend as people write them for configurable-http-proxy: a CommonJS class, here with a JSON file for its store.

import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const MODULE = `
const fs = require('fs');

// Each method does its work at one go: the other program does not wait for updates.
module.exports = class FileStorage {
  constructor(options) {
    this.file = process.env.STORAGE_FILE;
    options.log.info('keeping routes in %s', this.file);
  }

  read() {
    return fs.existsSync(this.file) ? JSON.parse(fs.readFileSync(this.file, 'utf8')) : {};
  }

  async getAll() {
    return this.read();
  }

  async get(path) {
    return this.read()[this.cleanPath(path)];
  }

  async getTarget(path) {
    const routes = this.read();
    for (let prefix = this.cleanPath(path); ; prefix = prefix.slice(0, prefix.lastIndexOf('/'))) {
      const data = routes[prefix === '' ? '/' : prefix];
      if (data !== undefined) return { prefix, data };
      if (prefix === '' || prefix === '/') return undefined;
    }
  }

  async add(path, data) {
    this.write({ ...this.read(), [this.cleanPath(path)]: data });
  }

  async update(path, data) {
    const routes = this.read();
    Object.assign(routes[this.cleanPath(path)], data);
    this.write(routes);
  }

  async remove(path) {
    const routes = this.read();
    delete routes[this.cleanPath(path)];
    this.write(routes);
  }

  write(routes) {
    fs.writeFileSync(this.file + '.new', JSON.stringify(routes));
    fs.renameSync(this.file + '.new', this.file);
  }

  cleanPath(path) {
    return '/' + path.replace(/^\\/+/, '').replace(/\\/$/, '');
  }
};
`;

/** A store in a folder: the options and the environment that a proxy needs for it, and a look into it. */
export interface ChpStorage {
  readonly module: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly read: () => Record<string, Record<string, unknown>>;
  readonly write: (routes: object | string) => void;
}

export function createChpStorage(folder: string): ChpStorage {
  const module = join(folder, 'file-storage.cjs');
  const file = join(folder, 'routes.json');
  writeFileSync(module, MODULE);
  return {
    module,
    args: ['--storage-backend', module],
    env: { STORAGE_FILE: file },
    read: () => JSON.parse(readFileSync(file, 'utf8')) as Record<string, Record<string, unknown>>,
    write: (routes) => {
      writeFileSync(`${file}.other`, typeof routes === 'string' ? routes : JSON.stringify(routes));
      renameSync(`${file}.other`, file);
    },
  };
}
