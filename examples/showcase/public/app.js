// The page: each module below owns one card.

import "./live.js";
import "./echo.js";
import "./upload.js";
import "./download.js";
import "./file.js";
import "./chat.js";

for (const place of document.querySelectorAll("[data-origin]")) place.textContent = location.origin;
