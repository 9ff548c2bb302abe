// What this backend executed, counted for each request id.
'use strict';

const STARTED = 1;
const COMPLETED = 2;
const CANCELLED = 3;
const ALL = '*';

class Journal {
  constructor() {
    this.entries = new Map();
    this.waiters = new Set();
  }

  start(id, method) {
    for (const key of new Set([id, ALL])) {
      this.entry(key).methods.push(method);
    }
    this.count(id, STARTED);
  }

  complete(id) {
    this.count(id, COMPLETED);
  }

  cancel(id) {
    this.count(id, CANCELLED);
  }

  read(id) {
    const { counts, methods } = this.entries.get(id) ?? newEntry();
    return { id, started: counts[STARTED], completed: counts[COMPLETED], cancelled: counts[CANCELLED], methods };
  }

  // Calls `respond` once the event that the request waits for has happened often enough; returns how to give up.
  wait(request, respond) {
    const waiter = { request, respond: () => respond(this.read(request.id)) };
    if (this.isSatisfied(request)) {
      waiter.respond();
    } else {
      this.waiters.add(waiter);
    }
    return () => this.waiters.delete(waiter);
  }

  clear() {
    this.entries.clear();
  }

  entry(key) {
    if (!this.entries.has(key)) {
      this.entries.set(key, newEntry());
    }
    return this.entries.get(key);
  }

  isSatisfied({ id, wait_for: event, at_least: atLeast }) {
    return !event || (this.entries.get(id) ?? newEntry()).counts[event] >= (atLeast || 1);
  }

  count(id, event) {
    for (const key of new Set([id, ALL])) {
      this.entry(key).counts[event] += 1;
    }
    for (const waiter of this.waiters) {
      if (this.isSatisfied(waiter.request)) {
        this.waiters.delete(waiter);
        waiter.respond();
      }
    }
  }
}

function newEntry() {
  return { methods: [], counts: { [STARTED]: 0, [COMPLETED]: 0, [CANCELLED]: 0 } };
}

module.exports = { Journal };
