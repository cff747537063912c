// Entry of every back-office page; each part works on the elements that are there.
import { startCollect } from "./collect.js";
import { startConfirm } from "./confirm.js";
import { startCounter } from "./counter.js";
import { enhanceFields } from "./fields.js";
import { startFilters } from "./filters.js";
import { startForms } from "./forms.js";
import { startLists } from "./lists.js";
import { startLive } from "./live.js";
import { startRefresh } from "./refresh.js";
import { startShell } from "./shell.js";

startShell();
startConfirm();
startLists();
startForms();
startFilters();
startCollect();
startCounter();
startLive();
startRefresh();
enhanceFields(document);
