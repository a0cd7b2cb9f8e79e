// What has to be done about TLS from time to time: files of certificates that somebody renews are read again, and the key of session tickets
// is changed. Files are looked at, not watched: events get lost where certificates live (mounted secrets, links that are switched).

import { signatureOf } from '../provider/signature.ts';

const LOOK_MS = 1000;
const TICKET_KEY_MS = 12 * 3_600_000;

/** What has to be done. */
export interface TlsUpkeepOptions {
  readonly files: () => readonly string[];
  readonly onFilesChanged: () => void;
  readonly onTicketKeyDue: () => void;
}

/** Looks after TLS until it is stopped. */
export class TlsUpkeep {
  readonly #options: TlsUpkeepOptions;
  readonly #timers: readonly NodeJS.Timeout[];
  /** As it was read last, and as it looked a moment ago: a pair is read once both of its files have come to rest. */
  #read: string;
  #seen: string;

  constructor(options: TlsUpkeepOptions) {
    this.#options = options;
    this.#read = signatureOf(options.files());
    this.#seen = this.#read;
    this.#timers = [
      setInterval(() => {
        this.#look();
      }, LOOK_MS).unref(),
      setInterval(options.onTicketKeyDue, TICKET_KEY_MS).unref(),
    ];
  }

  stop(): void {
    for (const timer of this.#timers) clearInterval(timer);
  }

  #look(): void {
    const now = signatureOf(this.#options.files());
    const isAtRest = now === this.#seen;
    this.#seen = now;
    if (!isAtRest || now === this.#read) return;
    this.#read = now;
    this.#options.onFilesChanged();
  }
}
