import { all, save } from "./store.js";

const { REMINDER_SENDER } = process.env;
const now = new Date();
const due = all().filter((reminder) => !reminder.sent && Date.parse(reminder.at) <= now);
for (const reminder of due) {
  save({ ...reminder, sent: now.toISOString(), by: REMINDER_SENDER });
}
console.log(`sent ${due.length} reminders`);
