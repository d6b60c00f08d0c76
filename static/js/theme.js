/* Blocking and tiny: what is decided before the first paint. The key is shared with the admin. */
(function () {
  var root = document.documentElement;
  try {
    var theme = localStorage.getItem("theme");
    if (theme === "light" || theme === "dark") root.dataset.theme = theme.replace(/"/g, "");
    if (localStorage.getItem("sidebar") === "collapsed") root.dataset.sidebar = "collapsed";
  } catch (error) { /* storage is refused: the system's theme it is */ }
})();
