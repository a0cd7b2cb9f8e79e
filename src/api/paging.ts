// Lists of the read API: filters, order and pages. Source: Traefik documentation, API.

import type { Document } from './documents.ts';

const DEFAULT_PER_PAGE = 100;

/** One page of a list, or why there is none. */
export type Page =
  { readonly documents: readonly Document[]; readonly next: number } | { readonly problem: string };

/** Applies `search`, `status`, `sortBy`, `direction`, `page` and `per_page`. */
export function selectPage(documents: readonly Document[], query: URLSearchParams): Page {
  const page = positive(query.get('page'), 1);
  const perPage = positive(query.get('per_page'), DEFAULT_PER_PAGE);
  if (page === undefined) return { problem: `invalid request: page: ${numberIn(query.get('page'))}` };
  if (perPage === undefined)
    return { problem: `invalid request: per_page: ${numberIn(query.get('per_page'))}` };
  const found = sort(
    documents.filter((document) => isWanted(document, query)),
    query,
  );
  const start = (page - 1) * perPage;
  if (start > 0 && start >= found.length)
    return { problem: `invalid request: page: ${String(page)}, per_page: ${String(perPage)}` };
  const isLast = start + perPage >= found.length;
  return { documents: found.slice(start, start + perPage), next: isLast ? 1 : page + 1 };
}

/** What is not a number counts as zero. */
function numberIn(text: string | null): string {
  return /^-?[0-9]+$/.test(text ?? '') ? (text ?? '0') : '0';
}

function positive(text: string | null, fallback: number): number | undefined {
  if (text === null || text === '') return fallback;
  const value = Number(text);
  return Number.isInteger(value) && value > 0 ? value : undefined;
}

function isWanted(document: Document, query: URLSearchParams): boolean {
  const search = query.get('search')?.toLowerCase() ?? '';
  const status = query.get('status')?.toLowerCase() ?? '';
  const service = query.get('serviceName') ?? '';
  const middleware = query.get('middlewareName') ?? '';
  const texts = [document.name, document['rule']].filter((text) => typeof text === 'string');
  if (search !== '' && !texts.some((text) => text.toLowerCase().includes(search))) return false;
  if (status !== '' && document['status'] !== status) return false;
  if (service !== '' && document['service'] !== service && document['service'] !== service.split('@')[0])
    return false;
  const used = document['middlewares'];
  return middleware === '' || (Array.isArray(used) && used.includes(middleware));
}

function sort(documents: readonly Document[], query: URLSearchParams): readonly Document[] {
  const key = query.get('sortBy') ?? 'name';
  const direction = query.get('direction') === 'desc' ? -1 : 1;
  return [...documents].sort((a, b) => {
    const order = compare(a[key], b[key]);
    return direction * (order === 0 ? compare(a.name, b.name) : order);
  });
}

function compare(a: unknown, b: unknown): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  const left = typeof a === 'string' ? a : JSON.stringify(a ?? '');
  const right = typeof b === 'string' ? b : JSON.stringify(b ?? '');
  return left < right ? -1 : left > right ? 1 : 0;
}
