// What can go wrong with a write, as types.

/** The server said no (RFC 9457): asking the same again cannot help. `problem` is its body, `status` its status. */
export class ProblemError extends Error {
  constructor(status, problem) {
    super(problem?.detail ?? `the server answered ${status}`);
    this.name = "ProblemError";
    this.status = status;
    this.problem = problem ?? {};
  }

  /** `key-reused` of `urn:archibald:problem:key-reused`. */
  get kind() {
    return this.problem.type?.split(":").pop() ?? "";
  }
}

/** Another device changed the pending order meanwhile: what this one wanted, and what there is now. */
export class ConflictError extends ProblemError {
  constructor(problem, mine, theirs) {
    super(412, problem);
    this.name = "ConflictError";
    this.mine = mine;
    this.theirs = theirs;
  }
}

/** A write that built on another one, which was refused: it was not sent. */
export class NotSentError extends Error {
  constructor(cause) {
    super("an earlier write of the same pending order was refused", { cause });
    this.name = "NotSentError";
  }
}

/** The error of an answer whose status is not a success. */
export async function problemOf(response, mine) {
  const problem = await response.json().catch(() => ({ detail: `the server answered ${response.status}` }));
  if (response.status === 412) return new ConflictError(problem, mine, problem.current);
  return new ProblemError(response.status, problem);
}

/** An error as plain data, for another page of the same device, and back. */
export function packed(error) {
  if (error === undefined) return undefined;
  const { name, status, problem, mine, theirs } = error;
  return { name, status, problem, mine, theirs };
}

export function unpacked(data) {
  if (data === undefined) return undefined;
  if (data.name === "ConflictError") return new ConflictError(data.problem, data.mine, data.theirs);
  return data.name === "ProblemError" ? new ProblemError(data.status, data.problem) : new NotSentError();
}
