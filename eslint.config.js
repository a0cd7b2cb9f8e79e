// Type-aware linting without stylistic rules; who may import whom is written down here, so that the tree cannot drift from its map
// in src/README.md.
import tseslint from 'typescript-eslint';

/** folder → folders of src/ whose modules it may import besides its own, `errors.ts`, `log.ts` and `url.ts`. */
const MAY_IMPORT = {
  http1: [],
  http2: ['http1'],
  config: [],
  channel: ['runtime', 'observe'],
  router: [],
  exchange: ['http1', 'router', 'service', 'middleware', 'upstream', 'tunnel', 'runtime', 'observe'],
  middleware: ['http1', 'runtime', 'config'],
  upstream: ['http1', 'runtime'],
  tunnel: ['http1', 'upstream'],
  service: ['http1', 'upstream', 'runtime'],
  entrypoint: ['http1', 'http2', 'exchange', 'tls', 'config', 'runtime'],
  tls: ['runtime', 'config'],
  observe: [],
  runtime: ['config', 'router'],
  provider: ['config', 'runtime'],
  hub: ['config', 'runtime'],
  api: ['config', 'runtime', 'hub', 'http1'],
  supervisor: ['config', 'channel', 'entrypoint'],
};
/** Composition roots know everything: `worker/`, `controller/`, `cli/`. */

const FOLDERS = [...Object.keys(MAY_IMPORT), 'worker', 'controller', 'cli'];

const importRules = Object.entries(MAY_IMPORT).map(([folder, allowed]) => ({
  files: [`src/${folder}/**/*.ts`],
  rules: {
    'no-restricted-imports': [
      'error',
      {
        patterns: FOLDERS.filter((other) => other !== folder && !allowed.includes(other)).map((other) => ({
          regex: `^(\\.\\./)+${other}/`,
          message: `${folder}/ may not import ${other}/ (see eslint.config.js and src/README.md)`,
        })),
      },
    ],
  },
}));

export default tseslint.config(
  { ignores: ['dist/', 'node_modules/', '.venv/', '.cache/', 'run/', 'python/'] },
  ...tseslint.configs.recommendedTypeChecked.map((config) => ({ ...config, files: ['**/*.ts'] })),
  {
    files: ['**/*.ts'],
    languageOptions: { parserOptions: { project: './tsconfig.json' } },
    rules: {
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/only-throw-error': 'error',
      '@typescript-eslint/no-non-null-assertion': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      'max-params': ['error', 4],
      'no-empty': 'error',
    },
  },
  {
    files: ['src/**/*.ts'],
    rules: {
      'max-lines': ['error', 500],
      'max-lines-per-function': ['error', 80],
    },
  },
  {
    files: ['test/**/*.ts'],
    rules: {
      'max-lines': ['error', 600],
      // node:test's `it` returns a promise that the runner itself awaits.
      '@typescript-eslint/no-floating-promises': [
        'error',
        {
          allowForKnownSafeCalls: [
            { from: 'package', package: 'node:test', name: ['it', 'test', 'describe', 'suite'] },
          ],
        },
      ],
    },
  },
  ...importRules,
);
