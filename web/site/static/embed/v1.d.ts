// Types of offrecord's loader, /embed/v1.js. It is a script, and what it defines is global:
//   /// <reference path="…/v1.d.ts" />

declare namespace Offrecord {
  /** What is known of the recording. `paused`, `stopped` and `declined` are said only when the platform itself said so. */
  type State = 'recording' | 'pausing' | 'paused' | 'resuming' | 'stopped' | 'declined' | 'unknown' | 'idle';

  /** What is known of an attempt. Only `confirmed` says that the platform reported the effect. Empty before the first attempt. */
  type Outcome =
    | '' | 'confirmed' | 'accepted' | 'sent' | 'no_call' | 'not_enabled' | 'locked' | 'denied' | 'not_found' | 'failed' | 'unknown'
    | 'superseded' | 'attested';

  /** What became of what was asked for. An outcome that isn't good is none of the promise's errors: look at `confirmed`. */
  interface Result {
    state: State;
    outcome: Outcome;
    confirmed: boolean;
  }

  interface Change extends Result {
    /** The server's time, in milliseconds since 1970. */
    at: number;
  }

  /**
   * Why there is no result. `timeout`: it may or may not have happened, so make sure yourself. `unavailable`: the panel isn't
   * there, and nothing was sent. `not_signed_in`, `invalid` and `destroyed` say what they are; others are the server's own.
   */
  interface Fault extends Error {
    code: 'timeout' | 'unavailable' | 'not_signed_in' | 'invalid' | 'destroyed' | (string & {});
  }

  interface PauseOptions {
    /** One line for the log, without card data. */
    reason?: string;
    /** Whose hold it is, of a-z, 0-9, - and _; `code` if left out. A resume gives back the hold of its own name only. */
    name?: string;
  }

  interface Call {
    call: string;
    event: 'started' | 'ended' | 'transferred';
  }

  interface Loader {
    /** Pauses the recording. Call it inside the person's own event: where a window is needed, it opens only there. */
    (name: 'pause', options?: PauseOptions): Promise<Result>;
    /** Gives back what a pause of the same name holds. The recording resumes when nothing holds it any more. */
    (name: 'resume', options?: Pick<PauseOptions, 'name'>): Promise<Result>;
    /** Says who works here: a JWT that your server signed. */
    (name: 'identify', token: string): Promise<{}>;
    /** Says which call the agent is on. */
    (name: 'call', call: Call): Promise<{}>;
    (name: 'on', type: 'change', listener: (change: Change) => void): Promise<void>;
    (name: 'off', type: 'change', listener: (change: Change) => void): Promise<void>;
    /** Resolves when the panel can act. */
    (name: 'ready'): Promise<Result>;
    /** Takes offrecord out and leaves the page as it was. What it holds stays held. */
    (name: 'destroy'): Promise<void>;
  }
}

declare const offrecord: Offrecord.Loader;

interface Window {
  offrecord?: Offrecord.Loader;
}

interface GlobalEventHandlersEventMap {
  'offrecord:change': CustomEvent<Offrecord.Change>;
}

interface HTMLElementTagNameMap {
  'offrecord-panel': HTMLElement;
}
