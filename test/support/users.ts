// Whether an entry of a user list lets somebody in, by the engine's own check.

import { createBasicAuth } from '../../src/middleware/basic-auth.ts';

/** True when `name` with `password` passes a middleware that has only this entry. */
export async function verifyUser(entry: string, name: string, password: string): Promise<boolean> {
  const credentials = Buffer.from(`${name}:${password}`, 'utf8').toString('base64');
  return (await createBasicAuth({ users: [entry] }).check(`Basic ${credentials}`)) === name;
}
