// Whether whoever sent a request looks at pages.

import type { MessageHead } from '../http1/head.ts';

/**
 * A script shows no page: it polls, and would make the server that has the pages pay for each poll. A browser that goes somewhere, a form
 * being sent included, says so (Fetch Metadata, W3C), over HTTPS and on the machine itself; else it shows by what it accepts.
 */
export function wantsPage(method: string, target: string, head: MessageHead): boolean {
  const mode = head.values('sec-fetch-mode')[0]?.toLowerCase();
  if (mode === 'navigate') return true;
  const isReading = method === 'GET' || method === 'HEAD';
  const isScript =
    mode !== undefined || head.values('x-xsrftoken').length > 0 || head.values('x-requested-with').length > 0;
  const accept = head.values('accept').join(',').toLowerCase();
  if (accept.includes('text/html')) return isReading || !isScript;
  if (!isReading || isScript || (accept !== '' && !accept.includes('*/*'))) return false;
  return !/\/api(?:\/|\?|$)/.test(target);
}
