import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { DYNAMIC_FIELDS } from '../../src/config/dynamic-schema.ts';
import type { Field, Fields } from '../../src/config/schema.ts';
import { STATIC_FIELDS } from '../../src/config/static-schema.ts';
import { ROOT } from '../support/traefik-binary.ts';

interface Verdicts {
  readonly accepted: string[];
  readonly refused: string[];
}

function collectField(field: Field, key: string, verdicts: Verdicts): void {
  switch (field.type) {
    case 'unsupported':
      verdicts.refused.push(key);
      return;
    case 'struct':
      // A table that may be empty means something by itself.
      if (field.allowEmpty) verdicts.accepted.push(key);
      collect(field.fields, key, verdicts);
      return;
    case 'map':
      collectField(field.of, `${key}.<name>`, verdicts);
      return;
    case 'list':
      collectField(field.of, key, verdicts);
      return;
    default:
      verdicts.accepted.push(key);
  }
}

function collect(fields: Fields, prefix: string, verdicts: Verdicts): void {
  for (const [name, field] of Object.entries(fields))
    collectField(field, prefix === '' ? name : `${prefix}.${name}`, verdicts);
}

describe('docs/configuration.md', () => {
  const page = readFileSync(path.join(ROOT, 'docs', 'configuration.md'), 'utf8');
  const verdicts: Verdicts = { accepted: [], refused: [] };
  collect(STATIC_FIELDS, '', verdicts);
  collect(DYNAMIC_FIELDS, '', verdicts);

  it('has a line for every key that is accepted, and no other', () => {
    // Environment variables have a test of their own.
    const listed = [...page.matchAll(/^\| `(?!JTP_)([^`]+)` \|/gm)].map((match) => match[1] ?? '');
    assert.deepEqual([...listed].sort(), [...verdicts.accepted].sort());
  });

  it('names every key that is refused because it is not supported yet, and no other', () => {
    const paragraphs = page.split('\n\n').filter((text) => text.startsWith('Refused by name:'));
    const named = paragraphs.flatMap((text) =>
      [...text.matchAll(/`([a-zA-Z0-9.<>]+)`/g)].map((match) => match[1] ?? ''),
    );
    assert.deepEqual([...named].sort(), [...verdicts.refused].sort());
  });
});
