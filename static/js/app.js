/* Entry. Each module enhances pages that already read and submit without it. */
import "./shell.js";
import "./menus.js";
import "./dialogs.js";
import "./toasts.js";
import "./keys.js";
import "./palette.js";
import "./lists.js";
import "./drawer.js";
import "./forms.js";
import "./edit.js";
import "./mapping.js";
import "./kanban.js";
import "./composer.js";
import "./calendar.js";
import "./dialer.js";
import "./times.js";
import "./live.js";
