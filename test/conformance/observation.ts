// What one request made visible, as a flat map of fields, so that a difference between two proxies is a list of field names.

import { headerValues } from './http-message.ts';
import type { WireMessage } from './http-message.ts';
import type { RawAnswer } from './raw-client.ts';

/** Field → value. Fields: `outcome`, `status`, `header <name>`, `body`, `json <path>`, `target`, `upstream <…>`, `tunnel`. */
export type Observation = ReadonlyMap<string, string>;

/** One request as a server recorded it. */
export interface TargetRecord {
  readonly target: string;
  readonly message: WireMessage;
}

/** Flattens an answer and what reached the servers. */
export function observe(
  answer: RawAnswer,
  records: readonly TargetRecord[],
  normalise: (text: string) => string,
): Observation {
  return collect(normalise, (set) => {
    set('outcome', answer.outcome);
    answer.interim.forEach((message, index) => {
      addMessage(`interim${String(index + 1)} `, message, set);
    });
    if (answer.final !== undefined) addMessage('', answer.final, set);
    if (answer.tunnel !== '') set('tunnel', answer.tunnel);
    addRecords(records, set);
  });
}

/** Flattens what reached the servers. */
export function observeRecords(
  records: readonly TargetRecord[],
  normalise: (text: string) => string,
): Observation {
  return collect(normalise, (set) => {
    addRecords(records, set);
  });
}

function collect(normalise: (text: string) => string, add: (set: Setter) => void): Observation {
  const fields = new Map<string, string>();
  add((field, value) => {
    fields.set(normalise(field), normalise(value));
  });
  return fields;
}

function addRecords(records: readonly TargetRecord[], set: Setter): void {
  set('target', records.length === 0 ? 'none' : records.map(({ target }) => target).join(', '));
  records.forEach(({ message }, index) => {
    addRequest(index === 0 ? 'upstream' : `upstream${String(index + 1)}`, message, set);
  });
}

/** The fields in which two observations differ, sorted. */
export function differingFields(left: Observation, right: Observation): string[] {
  const names = new Set([...left.keys(), ...right.keys()]);
  return [...names].filter((name) => left.get(name) !== right.get(name)).sort();
}

/** Two columns of the given fields, for a failure message. */
export function describeFields(
  fields: readonly string[],
  left: { name: string; seen: Observation },
  right: { name: string; seen: Observation },
): string {
  const show = (value: string | undefined): string =>
    value === undefined ? '(absent)' : JSON.stringify(value);
  return fields
    .map(
      (field) =>
        `${field}\n    ${left.name}: ${show(left.seen.get(field))}\n    ${right.name}: ${show(right.seen.get(field))}`,
    )
    .join('\n');
}

type Setter = (field: string, value: string) => void;

function addMessage(prefix: string, message: WireMessage, set: Setter): void {
  const [, status = ''] = message.startLine.split(' ');
  set(`${prefix}version`, message.startLine.split(' ')[0] ?? '');
  set(`${prefix}status`, status);
  set(`${prefix}reason`, message.startLine.split(' ').slice(2).join(' '));
  addHeaders(`${prefix}header`, message, set);
  if (!message.isComplete) set(`${prefix}truncated`, 'yes');
  const type = headerValues(message, 'content-type').join();
  const json = type.startsWith('application/json') ? parseJson(message.body) : undefined;
  if (json === undefined) set(`${prefix}body`, message.body);
  else addJson('json', json, set);
  for (const [name, value] of message.trailers) set(`${prefix}trailer ${name.toLowerCase()}`, value);
}

function addRequest(prefix: string, message: WireMessage, set: Setter): void {
  set(`${prefix} line`, message.startLine);
  addHeaders(`${prefix} header`, message, set);
  set(`${prefix} body`, message.body);
  for (const [name, value] of message.trailers) set(`${prefix} trailer ${name.toLowerCase()}`, value);
}

/** Order between different names is free, order of the values of one name is not. */
function addHeaders(prefix: string, message: WireMessage, set: Setter): void {
  for (const name of new Set(message.headers.map(([other]) => other.toLowerCase()))) {
    // The values of Date and of the length of a JSON document are nobody's business; that they are there is.
    const isVolatile = name === 'date' && prefix.endsWith('header') && !prefix.startsWith('upstream');
    const isJsonLength =
      name === 'content-length' &&
      headerValues(message, 'content-type').join().startsWith('application/json');
    set(
      `${prefix} ${name}`,
      isVolatile || isJsonLength ? '(present)' : headerValues(message, name).join(' ⏎ '),
    );
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown; // looked at by addJson only
  } catch {
    return undefined; // not JSON after all: compared as text
  }
}

function addJson(path: string, value: unknown, set: Setter): void {
  if (Array.isArray(value)) {
    if (value.length === 0) set(path, '[]');
    value.forEach((item: unknown, index) => {
      addJson(`${path}[${nameOf(item) ?? String(index)}]`, item, set);
    });
  } else if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value);
    if (entries.length === 0) set(path, '{}');
    for (const [key, item] of entries) addJson(`${path} ${key}`, item, set);
  } else {
    set(path, path === 'json startDate' ? '(a date)' : JSON.stringify(value));
  }
}

/** Elements of the API's lists carry their name: the better index for a diff. */
function nameOf(item: unknown): string | undefined {
  if (typeof item !== 'object' || item === null || !('name' in item)) return undefined;
  return typeof item.name === 'string' ? item.name : undefined;
}
