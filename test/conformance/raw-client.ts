// A client that sends the bytes it is given and hands back the bytes it got, taken apart no further than needed to know where the
// answer ends.

import { connect } from 'node:net';
import { readMessage } from './http-message.ts';
import type { WireMessage } from './http-message.ts';

/** What came back. */
export interface RawAnswer {
  /** Informational answers (1xx other than 101) before the last one. */
  readonly interim: readonly WireMessage[];
  /** Absent: the connection ended, or the deadline passed, without a complete head. */
  readonly final: WireMessage | undefined;
  readonly outcome: 'answered' | 'closed' | 'timeout' | 'refused';
  /** Bytes that came after a 101. */
  readonly tunnel: string;
}

/** One conversation. */
export interface RawRequest {
  readonly host: string;
  readonly port: number;
  /** UTF-8 text, sent as it is. */
  readonly bytes: string;
  /** Sent once a 101 has come; its echo (same length) ends the conversation. */
  readonly tunnelBytes?: string;
  readonly deadlineMs?: number;
}

/** Sends one request on a connection of its own and resolves with what came back; it never rejects. */
export function exchangeRaw(request: RawRequest): Promise<RawAnswer> {
  return new Promise((resolve) => {
    const interim: WireMessage[] = [];
    let bytes = '';
    let final: WireMessage | undefined;
    const isHeadAnswer = request.bytes.startsWith('HEAD ');
    const socket = connect(request.port, request.host);
    const finish = (outcome: RawAnswer['outcome']): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ interim, final, outcome, tunnel: final?.startLine.split(' ')[1] === '101' ? bytes : '' });
    };
    const timer = setTimeout(() => {
      finish('timeout');
    }, request.deadlineMs ?? 5000);
    const consume = (isClosed: boolean): void => {
      while (final === undefined) {
        const message = readMessage(bytes, { kind: 'response', isClosed, isHeadAnswer });
        if (message === undefined) return;
        bytes = bytes.slice(message.length);
        const status = message.startLine.split(' ')[1] ?? '';
        if (status.startsWith('1') && status !== '101') {
          interim.push(message);
          continue;
        }
        final = message;
        if (status !== '101') {
          finish('answered');
          return;
        }
        if (request.tunnelBytes !== undefined) socket.write(request.tunnelBytes);
      }
      const wanted = Buffer.byteLength(request.tunnelBytes ?? '');
      if (bytes.length >= wanted) finish('answered');
    };
    socket.on('connect', () => socket.write(request.bytes));
    socket.on('data', (chunk) => {
      bytes += chunk.toString('latin1');
      consume(false);
    });
    socket.on('end', () => {
      consume(true);
      finish(final === undefined ? 'closed' : 'answered');
    });
    socket.on('error', () => {
      finish(socket.remoteAddress === undefined && bytes === '' ? 'refused' : 'closed');
    });
  });
}
