// Whether whoever sent a request looks at pages.

import type { MessageHead } from '../http1/head.ts';

/** A script shows no page: it polls, and would make the server that has the pages pay for each poll. */
export function wantsPage(method: string, target: string, head: MessageHead): boolean {
  if (method !== 'GET' && method !== 'HEAD') return false;
  const accept = head.values('accept').join(',').toLowerCase();
  if (accept.includes('text/html')) return true;
  if (accept !== '' && !accept.includes('*/*')) return false;
  const mode = head.values('sec-fetch-mode')[0];
  if (mode !== undefined && mode !== 'navigate') return false;
  if (head.values('x-xsrftoken').length > 0 || head.values('x-requested-with').length > 0) return false;
  return !/\/api(?:\/|\?|$)/.test(target);
}
