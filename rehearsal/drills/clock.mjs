/**
 * Loaded before a command (`node --import`): its clock is REHEARSAL_DAYS_AHEAD days ahead. Timers, TLS and the processes that it starts
 * keep the machine's time.
 */
const ahead = Number(process.env.REHEARSAL_DAYS_AHEAD) * 86_400_000;
const MachineDate = Date;

globalThis.Date = class Date extends MachineDate {
  constructor(...given) {
    super(...(given.length === 0 ? [MachineDate.now() + ahead] : given));
  }

  static now() {
    return MachineDate.now() + ahead;
  }
};
