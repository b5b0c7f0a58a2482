import { languageChoice } from "./i18n.js";

languageChoice(document.getElementById("language"));
