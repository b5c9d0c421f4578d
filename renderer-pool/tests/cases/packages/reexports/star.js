"use strict";
var __exportStar = function (m, exports) { for (var p in m) if (p !== "default") exports[p] = m[p]; };
Object.defineProperty(exports, "__esModule", { value: true });
exports.own = 2;
__exportStar(require("./lib/inner"), exports);
