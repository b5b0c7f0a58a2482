/** A line of an order in the making. Per cent is a decimal text, such as "2.5". */
export interface OrderLine { product?: string; quantity?: number; discount?: string }

/** What a pending order says so far. */
export interface OrderContent {
  customer?: string;
  /** ISO, such as "2026-11-22". */
  date?: string;
  reference?: string;
  note?: string;
  lines?: OrderLine[];
}

export interface Conflict { mine: OrderContent; theirs: PendingOrder; at?: string }

export interface PendingOrder {
  id: string;
  version?: number;
  state: "editing" | "submitting" | "submitted";
  content: OrderContent;
  operation?: string;
  /** The order's number at the ERP, once it is one. */
  order?: string;
  problem?: { operation: string; outcome: string; detail: string; version: number };
  created_at: string;
  updated_at?: string;
  /** This device has written something that has not arrived. */
  unsent?: boolean;
  /** Another device changed it at the same time. */
  conflict?: Conflict;
  /** What the server did not accept, which is the `content` here: kept until it is written anew or discarded. */
  refused?: { detail: string };
}

export interface Progress { step: string; done: number; total: number; text: string }

export interface Operation {
  id: string;
  kind: string;
  class: "interactive" | "background";
  state: "available" | "running" | "completed" | "rejected" | "failed" | "in_doubt" | "cancelled";
  payload?: unknown;
  result?: Record<string, unknown>;
  problem?: { detail: string; effect?: string };
  step?: string;
  /** Why it waits for another attempt. */
  waits?: string;
  progress?: Progress;
  created_at: string;
  finished_at?: string;
  [field: string]: unknown;
}

/** Where a device keeps what must outlive its page. Values are plain data. */
export interface Storage {
  get(key: string): Promise<any>;
  set(key: string, value: unknown): Promise<void>;
  delete(key: string): Promise<void>;
  keys(prefix: string): Promise<string[]>;
  /**
   * `change(value)` answers the next value, or undefined to leave it; nobody else changes it in between. Answers what
   * is kept then. For storages that several pages share.
   */
  update?(key: string, change: (value: any) => any): Promise<any>;
}

/** Times in milliseconds. */
export interface Pace { base: number; longest: number; patience: number; wait: number }

export interface Options {
  agent: string;
  base?: string;
  token?: string | null;
  storage?: Storage;
  /** Tells devices apart that share a storage. */
  space?: string;
  fetch?: typeof fetch;
  transport?: "auto" | "sse" | "poll";
  pace?: Partial<Pace>;
  /** The server knows nobody, or somebody who does not reach the agent: sign in again and answer true, or false. */
  onRefused?: (who: "nobody" | "other") => Promise<boolean>;
}

export type State = "connecting" | "online" | "stale" | "offline" | "refused";

/** It is kept on the device; `outcome` is what the server said, whenever that is. */
export interface Written<T> { outcome: Promise<T> }

export interface Listeners {
  state(state: State): void;
  change(): void;
  frame(name: string, frame: any): void;
  warning(event: any): void;
  /** `rescued`: its content became a pending order of its own. */
  refused(refusal: { item: any; error: Error; rescued: boolean }): void;
  /** The device cannot keep something: it holds as long as the page is open. */
  unkept(error: unknown): void;
  renamed(ids: { from: string; to: string }): void;
}

export class ArchibaldClient {
  constructor(options: Options);
  readonly agent: string;
  readonly device: string;
  readonly state: State;
  readonly cursor: string | null;
  readonly unsent: number;
  /** Holes that were found in the stream, and mended by a snapshot. */
  readonly gaps: number;
  start(): Promise<void>;
  stop(): Promise<void>;
  /** After `stop()`: forgets what the server has too; unsent writes, conflicts and refusals stay. */
  forget(): Promise<void>;
  connect(): void;
  disconnect(): void;
  wake(): void;
  signedIn(): void;
  on<T extends keyof Listeners>(type: T, listener: Listeners[T]): () => void;
  operations(): Operation[];
  operation(id: string): Operation | undefined;
  pendingOrders(): PendingOrder[];
  pendingOrder(id: string): PendingOrder | undefined;
  create(content: OrderContent): Promise<{ id: string } & Written<PendingOrder>>;
  edit(id: string, content: OrderContent, base?: number): Promise<Written<PendingOrder | null>>;
  discard(id: string, base?: number): Promise<Written<null>>;
  submit(id: string, base?: number): Promise<Written<Operation>>;
  enqueue(kind: string, payload: unknown): Promise<Written<Operation>>;
  resolveConflict(id: string, content: OrderContent): Promise<Written<PendingOrder | null>>;
  rows(collection: "customers" | "products" | "prices" | "orders", query?: Record<string, string>): Promise<{ items: { id: string; updated_at: string; data: any }[]; next?: string }>;
  fetchOperation(id: string): Promise<Operation>;
  cancel(id: string): Promise<Operation>;
  retry(id: string): Promise<Operation>;
}

export class MemoryStorage implements Storage {
  get(key: string): Promise<any>;
  set(key: string, value: unknown): Promise<void>;
  delete(key: string): Promise<void>;
  keys(prefix: string): Promise<string[]>;
  update(key: string, change: (value: any) => any): Promise<any>;
}

export class IndexedDbStorage extends MemoryStorage { constructor(name?: string) }

export class ProblemError extends Error {
  readonly status: number;
  readonly problem: { type?: string; title?: string; detail?: string; errors?: { pointer: string; detail: string }[]; operation?: string };
  readonly kind: string;
}

export class ConflictError extends ProblemError {
  readonly mine?: OrderContent;
  readonly theirs: PendingOrder;
}

export class NotSentError extends Error {}
