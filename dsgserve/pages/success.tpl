% # After a sign-in or terms with nowhere to go on to.
% rebase("base.tpl")
<p>You are done here. You can close this window, or <a href="/">go to your datasets</a>.</p>
